"""The first start at an inbox of 50,000 unread mails: `python -m bench.first_start [--mails 50000]`, three minutes.

Measures the first sweep, the wait of a mail that comes during the backlog, and the backlog's share of one minute. The
rest of the backlog is left: the next sweeps enqueue INGEST_SWEEP_LIMIT mails at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from bench.inbox import queue_length, sweep
from bench.mails import samples
from bench.processes import MIB, forget_peak, peak_bytes, resident_bytes
from ingest.settings import DEFAULT_SWEEP_LIMIT
from local.stack import Stack

NEW_MAILS = 10
GOAL_SECONDS = 60.0  # of docs/slo.md: a new mail is stored after that time at most, backlog or not
MINUTE = 60.0
_ENDED = "select from ingest.claim where message_id = %s and ended_at is not null"
_LOOK_SECONDS = 0.05
TEMPLATE = """From: supplier@example.com
To: {address}
Subject: Old invoice {{number}}
Message-ID: <old-{{number}}@supplier.example>
MIME-Version: 1.0
Content-Type: application/pdf; name="invoice.pdf"
Content-Disposition: attachment; filename="invoice.pdf"

%PDF-1.7 old invoice {{number}}
"""


def main() -> int:
    """Measure, and print a line for each figure. Return 1 where a new mail waits too long or the queue is too full."""
    parser = argparse.ArgumentParser(prog="python -m bench.first_start", description=__doc__)
    parser.add_argument("--mails", type=int, default=50_000)
    mails: int = parser.parse_args().mails
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder) / "stack", settings={"AzureWebJobs.maintain.Disabled": "true"}) as stack,
    ):
        return _measure(stack, mails)


def _measure(stack: Stack, mails: int) -> int:
    tenant, mailbox = stack.add_tenant("Bench"), stack.identity.mailboxes[0]
    pid = stack.hosts[0].pid
    assert pid is not None  # noqa: S101 - the stack runs
    stack.admin.set_notification_faults(drop_probability=1.0)
    stack.admin.deliver_series(TEMPLATE.format(address=tenant.address).encode(), [mailbox], count=mails)
    stack.admin.set_notification_faults()
    idle = resident_bytes(pid)
    forget_peak(pid)
    stack.admin.reset_counters()
    began = time.perf_counter()
    sweep(stack)
    swept = time.perf_counter() - began
    listings = sum(
        count for (route, _), count in stack.admin.requests().by_route.items() if route.endswith("/messages")
    )
    queued, done = asyncio.run(queue_length(stack)), mails - _in_inbox(stack)
    print(f"first sweep: {swept:.1f} s, {listings} listings, {queued + done:,} of {mails:,} mails enqueued")
    left, began = _in_inbox(stack), time.perf_counter()
    waits = [_new_mail(stack, number, tenant.address) for number in range(NEW_MAILS)]
    time.sleep(max(0.0, MINUTE - (time.perf_counter() - began)))
    drained = left + NEW_MAILS - _in_inbox(stack)
    print(f"new mail during the backlog: median {statistics.median(waits):.1f} s, longest {max(waits):.1f} s")
    print(f"beside the new mails: {drained - NEW_MAILS:,} mails of the backlog in a minute, by one host")
    print(f"memory of the host: {(peak_bytes(pid) - idle) / MIB:.0f} MiB above idle")
    return int(max(waits) > GOAL_SECONDS or queued > DEFAULT_SWEEP_LIMIT)


def _new_mail(stack: Stack, number: int, address: str) -> float:
    """Return the seconds from the delivery of a mail until the mail has ended. Postgres is asked: the inbox is long."""
    [mail] = samples(1, address=address, label=f"new-{number}", pdf_bytes=1000)
    began = time.perf_counter()
    [state] = stack.admin.deliver(mail.raw, [stack.identity.mailboxes[0]])
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:
        while time.perf_counter() - began < 10 * GOAL_SECONDS:
            if database.execute(_ENDED, [state.id]).fetchone() is not None:
                break
            time.sleep(_LOOK_SECONDS)
    return time.perf_counter() - began


def _in_inbox(stack: Stack) -> int:
    return stack.admin.folders(stack.identity.mailboxes[0])["Inbox"]


if __name__ == "__main__":
    sys.exit(main())
