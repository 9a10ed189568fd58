"""The figures of `status`, from rows that say what happened when."""

import psycopg
import pytest

from operations.status import HOURS, read_status
from tests.integration.databases import Database

pytestmark = pytest.mark.shares("postgres")

CLAIMS = """
insert into ingest.claim (mailbox, message_id, state, trigger, reason, attempts, received_at, first_seen_at, ended_at,
    last_error)
select 'upload@dms.example', message_id, state, trigger, reason, attempts, now() - received, now() - seen,
    now() - ended, error
from (values
    ('stored fast', 'deleted', 'webhook', null, 1, '61 s'::interval, '60 s'::interval, '60 s'::interval, null),
    ('stored late', 'deleted', 'sweep', null, 1, '400 s', '100 s', '99 s', null),
    ('the sweep was faster than the notification', 'deleted', 'sweep', null, 1, '100 s', '80 s', '79 s', null),
    ('no token', 'quarantined', 'webhook', 'no_token', 1, '1 hour', '1 hour', '1 hour', null),
    ('no token, long ago', 'quarantined', 'webhook', 'no_token', 1, '9 days', '9 days', '9 days', 'GraphUnavailable'),
    ('waits', 'waiting', 'webhook', null, 2, null, '20 minutes', null, 'GraphUnavailable'),
    ('is in work', 'processing', 'webhook', null, 1, '5 s', '4 s', null, null)
) as one (message_id, state, trigger, reason, attempts, received, seen, ended, error)
"""


def test_an_empty_database_has_figures(database: Database) -> None:
    status = read_status(database.app_url)
    assert (status.waiting, status.oldest_seconds, status.mails, status.p50) == (0, None, 0, None)
    assert len(status.hours) == HOURS
    assert status.quarantine == ()
    assert status.tenants == ()


def test_the_figures_are_those_of_the_claims(database: Database) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(CLAIMS)
    status = read_status(database.app_url)
    assert (status.waiting, status.tried_again) == (2, 1)
    assert status.oldest_seconds is not None
    assert 1200 <= status.oldest_seconds < 1300
    assert (status.mails, status.unannounced) == (4, 1)
    assert status.within_a_minute == 2 / 3
    assert status.p50 == 21
    assert sum(hour.stored for hour in status.hours) == 3
    assert sum(hour.quarantined for hour in status.hours) == 1
    assert read_status(database.operator_url).mails == 4
    assert status.failing == 0
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(
            "update ingest.claim set first_seen_at = now() - interval '25 hours' where state = 'waiting'"
        )
    assert read_status(database.app_url).failing == 1
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("update ingest.claim set ended_at = now() - interval '10 minutes' where state = 'waiting'")
    come_back = read_status(database.app_url)
    assert come_back.oldest_seconds is not None
    assert (come_back.failing, 600 <= come_back.oldest_seconds < 700) == (0, True), "it ended, and came back since"
    assert [(kept.reason, kept.mails, kept.new) for kept in status.quarantine] == [("no_token", 2, 1)]
