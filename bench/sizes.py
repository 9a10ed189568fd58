"""The rows on memory: mails of 140 MB, one and four at a time, and the rival with one."""

import random
import time
from dataclasses import dataclass

from bench import ours
from bench.mails import Sample, deliver_silently, with_files
from bench.processes import forget_peak, peak_bytes, resident_bytes
from bench.rounds import child
from local.stack import Stack
from local.tenants import LocalTenant


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Peak memory in bytes above the idle process."""

    one: int
    four: int
    rival_one: int


def measure(stack: Stack, tenant: LocalTenant, megabytes: int) -> Memory:
    """Ingest mails with an attachment of `megabytes` (millions of bytes), each mail another one."""
    mailbox = stack.identity.mailboxes[0]
    one = _peak(stack, mailbox, [_large(tenant.address, megabytes, 0)])
    four = _peak(stack, mailbox, [_large(tenant.address, megabytes, number) for number in (1, 2, 3, 4)])
    deliver_silently(stack.admin, [_large(tenant.address, megabytes, 5)], mailbox)
    rival = child(stack, "bench.rival", "--delay", "0")
    return Memory(one=one, four=four, rival_one=int(rival["peak_bytes_above_idle"]))


def _peak(stack: Stack, mailbox: str, mails: list[Sample]) -> int:
    pid = stack.hosts[0].pid
    assert pid is not None  # noqa: S101 - the stack runs
    deliver_silently(stack.admin, mails, mailbox)
    time.sleep(1)  # idle: the last mail is settled
    idle = resident_bytes(pid)
    forget_peak(pid)
    stack.maintain()
    ours.wait_until_empty(stack)
    return peak_bytes(pid) - idle


def _large(address: str, megabytes: int, number: int) -> Sample:
    message_id = f"<large-{number}@bench.example>"
    plan = random.Random(number).randbytes(1_000_000) * megabytes  # noqa: S311 - no secret
    raw = with_files(message_id=message_id, to=address, subject="Bauplan", files={"Plan.pdf": plan})
    return Sample(message_id=message_id, raw=raw, document_sha256s=())
