"""Postgres is away for an hour, and no mail is held against itself.

An hour of the settings that an installation has is twenty seconds here: lease, retry, the queue's delay and its
lease are divided by 180; the code is the same.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from threading import Event

import pytest

from local.stack import Stack
from tests.chaos.accounts import balance, unfinished
from tests.chaos.graph import Mailbox
from tests.chaos.mails import mails

FASTER = 180
HOUR = 3600 / FASTER
MAILS = 30
SETTINGS = {
    "INGEST_LEASE_SECONDS": str(600 / FASTER),
    "INGEST_RETRY_SECONDS": str(300 / FASTER),
    "INGEST_SWEEP_SCOPE": "all",
    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00.25",
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.5",
}


@pytest.mark.usefixtures("unmeasured")
def test_an_hour_without_postgres_leaves_quarantine_to_those_who_belong_there(tmp_path: Path) -> None:
    arguments = ["--queue-lease", str(int(600 / FASTER))]
    with Stack(tmp_path, settings=SETTINGS, host_arguments=arguments) as stack:
        assert stack.simulator is not None
        mailbox = Mailbox(stack, (stack.simulator.smtp_host, stack.simulator.smtp_port))
        backlog = mails(1, [stack.add_tenant("Tenant")])
        admin = stack.admin
        sent = list(mailbox.send(islice(backlog, MAILS)))
        # In the middle of its work, with claims in its hands.
        admin.wait_for(lambda: sum(state.folder != "Inbox" for state in admin.messages()) >= MAILS // 4, timeout=120)
        stack.postgres.kill()
        sent += mailbox.send(islice(backlog, MAILS))
        _let_pass(HOUR)
        stack.postgres.start()

        def calm() -> bool:
            stack.maintain()
            left = any(state.folder == "Inbox" for state in admin.messages())
            return not left and unfinished(stack) == 0

        for _ in range(300):
            if calm():
                break
            _let_pass(1)
        books = balance(stack, sent, mailbox.places())
    assert (books.lost, books.duplicates, books.wrong) == ({}, {}, {})
    assert set(books.quarantined) == {"no_token", "unknown_token"}
    assert books.taken_over == 0  # no process died, and none counts as dead


def _let_pass(seconds: float) -> None:
    """The outage's own duration: there is no event to wait for."""
    Event().wait(seconds)
