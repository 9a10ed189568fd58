"""A host is stopped in the middle of its mails, and comes back with other settings: nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import psycopg
import pytest

from local.stack import TIMERS_OFF, Stack
from tests.chaos.accounts import balance, ended, queued, unfinished
from tests.chaos.graph import Mailbox
from tests.chaos.mails import Sent, mails

MAILS = 45
SETTINGS = {
    "INGEST_SWEEP_SCOPE": "all",
    # Few at a time, so that most mails wait on the queue when the host is stopped.
    "AzureFunctionsJobHost__extensions__queues__batchSize": "4",
    "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "0",
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2",
}
OTHERS = {
    "INGEST_CLIENT_STATE": "the-secret-after-the-rotation",  # without the one before: Graph sends that until a renewal
    "INGEST_QUARANTINE_FOLDER": "Quarantine of the new settings",
    "INGEST_DELETE_MODE": "permanent",
    "AzureFunctionsJobHost__extensions__queues__batchSize": "16",
}


@pytest.fixture
def stack(unmeasured: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:  # noqa: ARG001 - for its effect
    with Stack(tmp_path_factory.mktemp("restarts"), settings=TIMERS_OFF | SETTINGS) as stack:
        stack.admin.set_latency(100)
        yield stack


def in_hand(stack: Stack) -> int:
    with psycopg.connect(stack.postgres.owner_url) as database:
        row = database.execute("select count(*) from ingest.claim where state = 'processing'").fetchone()
    return int(row[0]) if row else 0


def test_a_host_finishes_what_it_holds_and_new_settings_take_over_the_rest(stack: Stack) -> None:
    assert stack.simulator is not None
    mailbox = Mailbox(stack, (stack.simulator.smtp_host, stack.simulator.smtp_port))
    source = mails(1, [stack.add_tenant("Tenant")])
    (host,) = stack.hosts
    sent: list[Sent] = list(mailbox.send(islice(source, MAILS)))
    stack.admin.wait_for(lambda: ended(stack) >= 4 and in_hand(stack) > 0, timeout=120, what="mails in hand")

    host.stop()  # SIGTERM, as the platform sends before it takes an instance away

    assert in_hand(stack) == 0, "every mail that was in hand has ended"
    finished = ended(stack)
    assert 4 <= finished < MAILS
    assert queued(stack) > 0, "the others wait on the queue, with the settings of before"

    sent += mailbox.send(islice(source, 5))  # while no host listens
    host.environment = {**host.environment, **OTHERS}
    host.start()
    stack.maintain()
    stack.admin.wait_for(
        lambda: ended(stack) == len(sent) and unfinished(stack) == 0, timeout=120, what="the end of all mails"
    )

    books = balance(stack, sent, mailbox.places())
    assert (books.lost, books.duplicates, books.wrong) == ({}, {}, {})
    assert books.taken_over == 0, "a host that ends in order kills no mail"
    assert set(stack.admin.folders(stack.identity.mailboxes[0])) >= {"Quarantine", OTHERS["INGEST_QUARANTINE_FOLDER"]}
    (subscription,) = stack.admin.subscriptions()  # the one with the old secret is replaced
    assert "state=" in subscription.notification_url

    before = ended(stack)
    sent += mailbox.send(islice(source, 3))  # announced with the new secret: no sweep brings these
    stack.admin.wait_for(lambda: ended(stack) == before + 3, what="mails by the new subscription")
