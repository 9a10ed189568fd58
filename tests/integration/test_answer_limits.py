"""The limits of answers in a day: for a sender, for the senders of one domain, for a tenant, and in all."""

from __future__ import annotations

import pytest

from ingest.model.tenant import Tenant
from tests.integration.databases import Database
from tests.integration.stores import add_tenant

pytestmark = pytest.mark.shares("postgres")


def queue(database: Database, *recipients: str, tenant: Tenant | None = None) -> None:
    """Queue an answer to an ended mail for each recipient, in this order. `tenant`: of the mails."""
    of = "null" if tenant is None else str(tenant.id)
    for place, recipient in enumerate(recipients):
        database.run(
            "with claim as (insert into ingest.claim (mailbox, message_id, state, trigger)"
            f" values ('box', gen_random_uuid()::text, 'quarantined', 'webhook') returning id)"
            " insert into ingest.answer (claim_id, tenant_id, kind, recipient_hash, recipient, reply, next_try_at)"
            f" select id, {of}, 'received', md5(lower('{recipient}')), '{recipient}', '{{}}',"
            f" now() - interval '1 hour' + {place} * interval '1 second' from claim"
        )


def taken(database: Database, limits: str) -> dict[str, int]:
    """Take all that is due; return how many answers were taken (`""`), and how many were beyond each limit."""
    with database.app() as app:
        rows = app.execute(
            f"select coalesce(beyond, ''), count(*) from ingest.take_answers(100, {limits}) group by 1".encode()
        )
        return dict(rows.fetchall())


def test_a_domain_of_any_number_of_senders_gets_its_limit(database: Database) -> None:
    queue(database, *(f"{number}@Catch-All.example" for number in range(5)), "anna@supplier.example")
    assert taken(database, "1, 3, 100") == {"": 4, "domain": 2}
    states = database.rows("select state, count(*) as answers from ingest.answer group by 1")
    assert {row["state"]: row["answers"] for row in states} == {"sending": 4, "suppressed": 2}


def test_the_limit_of_a_domain_counts_a_whole_day(database: Database) -> None:
    queue(database, "a@catch-all.example", "b@catch-all.example")
    assert taken(database, "9, 2, 100") == {"": 2}
    queue(database, "c@catch-all.example")
    assert taken(database, "9, 2, 100") == {"domain": 1}
    database.run("update ingest.answer set taken_at = taken_at - interval '25 hours'")
    queue(database, "d@catch-all.example")
    assert taken(database, "9, 2, 100") == {"": 1}


def test_all_answers_have_one_limit(database: Database) -> None:
    queue(database, *(f"anna@{number}.example" for number in range(4)))
    assert taken(database, "9, 9, 3") == {"": 3, "all": 1}


def test_a_tenant_under_attack_leaves_answers_to_the_others(database: Database) -> None:
    attacked, other = add_tenant(database, "attacked"), add_tenant(database, "other")
    queue(database, *(f"anna@{number}.example" for number in range(4)), tenant=attacked)
    queue(database, "bert@supplier.example", tenant=other)
    assert taken(database, "9, 9, 4, 3") == {"": 4, "tenant": 1}


def test_mails_without_a_tenant_have_the_limit_of_a_tenant(database: Database) -> None:
    queue(database, *(f"anna@{number}.example" for number in range(3)))
    queue(database, "bert@supplier.example", tenant=add_tenant(database, "one"))
    assert taken(database, "9, 9, 9, 2") == {"": 3, "tenant": 1}


def test_an_app_of_before_the_limit_of_a_tenant_takes_answers(database: Database) -> None:
    queue(database, "anna@supplier.example", "bert@supplier.example", tenant=add_tenant(database, "one"))
    assert taken(database, "9, 9, 9") == {"": 2}


def test_the_limit_of_a_sender_is_named_first(database: Database) -> None:
    queue(database, "anna@supplier.example", "Anna@supplier.example")
    assert taken(database, "1, 1, 1, 1") == {"": 1, "sender": 1}


def test_a_suppressed_answer_holds_no_address(database: Database) -> None:
    queue(database, "a@catch-all.example", "b@catch-all.example")
    taken(database, "9, 1, 100")
    assert database.value("select recipient from ingest.answer where state = 'suppressed'") is None
