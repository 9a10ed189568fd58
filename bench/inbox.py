"""The row on the sweep: an inbox of 20,000 mails."""

import asyncio
import time
from dataclasses import dataclass

from bench.mails import samples, silently
from bench.processes import forget_peak, peak_bytes, resident_bytes
from local.functions_host.rest import Client, open_session, parse_connection_string
from local.stack import Stack
from local.tenants import LocalTenant

_EXECUTED = "Executed 'Functions.maintain'"


@dataclass(frozen=True, kw_only=True)
class Swept:
    """One sweep: messages `queued` after it and `queued_again` after a second one; memory above idle in bytes."""

    mails: int
    limit: int
    listings: int
    queued: int
    queued_again: int
    memory: int
    seconds: float


async def queue_length(stack: Stack) -> int:
    """Count the messages on the queue, visible or not."""
    account = parse_connection_string(stack.azurite.connection_string)
    async with open_session() as session:
        answer = await Client(session, account, account.queue_endpoint).request(
            "GET", "/ingest-backlog", query={"comp": "metadata"}
        )
    return int(answer.headers["x-ms-approximate-messages-count"])


def measure(stack: Stack, tenant: LocalTenant, mails: int, limit: int) -> Swept:
    """Sweep an inbox of `mails` twice, with INGEST_SWEEP_LIMIT at `limit`.

    The stack's host must not ingest: the inbox would shrink during the sweep.
    """
    mailbox = stack.identity.mailboxes[0]
    [template] = samples(1, address=tenant.address, label="inbox-{number}", pdf_bytes=100)
    pid = stack.hosts[0].pid
    assert pid is not None  # noqa: S101 - the stack runs
    sweep(stack)  # of an empty inbox: afterwards all is imported and connected
    with silently(stack.admin):
        stack.admin.deliver_series(template.raw, [mailbox], count=mails)
    idle = resident_bytes(pid)
    forget_peak(pid)
    stack.admin.reset_counters()
    began = time.perf_counter()
    sweep(stack)
    seconds = time.perf_counter() - began
    memory = peak_bytes(pid) - idle
    listings = sum(
        count for (route, _), count in stack.admin.requests().by_route.items() if route.endswith("/messages")
    )
    queued = asyncio.run(queue_length(stack))
    sweep(stack)
    return Swept(
        mails=mails,
        limit=limit,
        listings=listings,
        queued=queued,
        queued_again=asyncio.run(queue_length(stack)),
        memory=memory,
        seconds=seconds,
    )


def sweep(stack: Stack) -> None:
    """Fire the timer and wait until its run is over, outputs included."""
    log = stack.data / "host-1.log"
    before = log.read_text().count(_EXECUTED)
    stack.maintain()
    while log.read_text().count(_EXECUTED) == before:
        time.sleep(0.2)
