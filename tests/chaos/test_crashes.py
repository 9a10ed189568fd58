"""A mail over which the process dies again and again goes to Quarantine, and comes back when it is released."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Event

import pytest
import requests

from local.functions_host.process import FunctionsHost
from local.stack import Stack
from tests.chaos import plugin
from tests.chaos.accounts import balance, unfinished
from tests.chaos.control import Control
from tests.chaos.graph import QUARANTINE, Mailbox
from tests.chaos.mails import KINDS, mails
from tests.chaos.nursery import Nursery

LEASE = 4  # a slow machine that stalls for longer lets a death count twice
DEATHS = 5
PATIENCE = 360  # looks
POINT = "graph.get_mime after"
SETTINGS = {
    "INGEST_LEASE_SECONDS": str(LEASE),
    "INGEST_RETRY_SECONDS": "0.5",
    "INGEST_SWEEP_SCOPE": "all",
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.5",
}


@pytest.mark.usefixtures("unmeasured")
def test_a_mail_that_kills_is_put_aside_and_can_be_released(tmp_path: Path) -> None:
    control = Control(tmp_path / "control")
    with Stack(tmp_path, hosts=0) as stack, Nursery() as nursery:
        assert stack.simulator is not None
        host = stack.add_host(
            settings=SETTINGS | {plugin.CONTROL: str(tmp_path / "control")},
            arguments=["--queue-lease", str(LEASE), "--plugin", "tests.chaos.plugin:install"],
        )
        nursery.start(host)
        mailbox = Mailbox(stack, (stack.simulator.smtp_host, stack.simulator.smtp_port))
        backlog = mails(1, [stack.add_tenant("Tenant")])
        sent = list(mailbox.send(islice(backlog, KINDS - 1, KINDS)))
        for _ in range(DEATHS):
            control.arm(POINT, 1)
            _run(nursery, host, until=lambda: host in nursery.dead())
        assert control.killed(POINT) == DEATHS
        _run(nursery, host, until=lambda: _folder(mailbox) == QUARANTINE and unfinished(stack) == 0)
        (place,) = mailbox.places().values()
        assert place.categories == ("crashed_repeatedly",)
        mailbox.release(place)
        _run(nursery, host, until=lambda: _folder(mailbox) == "deleted" and unfinished(stack) == 0)
        books = balance(stack, sent, mailbox.places())
    assert books.balanced
    assert (books.stored, books.taken_over) == (1, 0)


def _folder(mailbox: Mailbox) -> str:
    return next(place.folder for place in mailbox.places().values())


def _run(nursery: Nursery, host: FunctionsHost, *, until: Callable[[], bool]) -> None:
    """The host again, if it is dead, with its timer fired until what is awaited has come."""
    if host in nursery.dead():
        nursery.start(host)
    for _ in range(PATIENCE):
        if until():
            return
        with suppress(requests.RequestException):  # it dies while it is asked
            requests.post(f"{host.url}/admin/functions/maintain", json={"input": ""}, timeout=60)
        Event().wait(LEASE / 4)
    raise TimeoutError("what was awaited did not come")
