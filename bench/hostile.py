"""The rows on hostile mails: the cost of their contents, and the wait of honest mails and answers beside them."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import count, cycle, islice

import aiohttp

from bench import ours
from bench.burst import Answers, answers_of, notification
from bench.mails import samples
from local.processes import ROOT
from local.stack import Stack
from local.tenants import LocalTenant
from tests.mails import hostile

BOMBS = 12
_SHAPE_BYTES = 1_000_000  # of a bomb in the stack
_WEBHOOK_SECONDS = 0.05  # between two notifications


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Processor seconds of the costliest content, and bytes above idle of the largest one."""

    costliest: str
    seconds: float
    largest: str
    memory: float


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """Milliseconds of honest mails and of the webhook's answers, alone and beside bombs."""

    alone: list[float]
    beside_bombs: list[float]
    webhook_alone: Answers
    webhook_flooded: Answers


async def _posted(url: str, bodies: Sequence[bytes]) -> list[float]:
    """Post one notification after another; the milliseconds of each answer."""
    times = []
    async with aiohttp.ClientSession() as session:
        for body in bodies:
            began = time.perf_counter()
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                answer.raise_for_status()
                await answer.read()
            times.append(1000 * (time.perf_counter() - began))
            time.sleep(_WEBHOOK_SECONDS)  # noqa: ASYNC251 - nothing else runs here
    return times


def contents(megabytes: int) -> Contents:
    """Read each hostile content, up to so many millions of bytes, in a process of its own."""
    costs = {name: _cost(name, megabytes * 1_000_000) for name in hostile.names()}
    costliest = max(costs, key=lambda name: costs[name]["seconds"])
    largest = max(costs, key=lambda name: costs[name]["memory"])
    return Contents(
        costliest=costliest,
        seconds=costs[costliest]["seconds"],
        largest=largest,
        memory=costs[largest]["memory"],
    )


def measure(stack: Stack, tenant: LocalTenant, client_state: str, *, honest: int, notifications: int) -> Hostile:
    """Put bombs beside honest mails and beside notifications."""
    mailbox, other = stack.identity.mailboxes[:2]  # Graph allows each mailbox four requests at a time
    mails = samples(2 * honest + 2, address=tenant.address, label="honest")
    alone = [ours.one_by_webhook(stack, mailbox, mail) for mail in mails[: honest + 2]][2:]
    bombs = _bombs(tenant.address)
    beside = []
    for mail in mails[honest + 2 :]:
        for bomb in islice(bombs, BOMBS):
            stack.admin.deliver(bomb, [other])
        beside.append(ours.one_by_webhook(stack, mailbox, mail))
        ours.wait_until_empty(stack)
    url = f"{stack.url}/api/graph/notifications?mailbox={mailbox}"
    bodies = [notification(stack, client_state, mailbox) for _ in range(notifications)]
    webhook_alone = answers_of(asyncio.run(_posted(url, bodies)))
    with _flood(stack, other, bombs):
        webhook_flooded = answers_of(asyncio.run(_posted(url, bodies)))
    ours.wait_until_empty(stack)
    return Hostile(
        alone=alone,
        beside_bombs=beside,
        webhook_alone=webhook_alone,
        webhook_flooded=webhook_flooded,
    )


def _cost(name: str, size: int) -> dict[str, float]:
    """Return processor seconds and bytes of one content."""
    command = [sys.executable, "-m", "tests.fuzz.costly", "--content", name, "--size", str(size)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    cost: dict[str, float] = json.loads(done.stdout)
    return cost


def _bombs(address: str) -> Iterator[bytes]:
    """Yield mails with a hostile attachment, without end, each another mail."""
    contents = [*hostile.files(), *hostile.shapes(_SHAPE_BYTES)]
    for number, (name, content) in zip(count(), cycle(contents), strict=False):
        mail = EmailMessage()
        mail["From"] = "stranger@attack.example"
        mail["To"] = address
        mail["Subject"] = f"{number}"
        mail["Message-ID"] = f"<bomb-{number}@attack.example>"
        mail.set_content("x")
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
        yield mail.as_bytes()


@contextmanager
def _flood(stack: Stack, mailbox: str, bombs: Iterator[bytes]) -> Iterator[None]:
    """Keep about BOMBS bombs in the inbox."""
    over = threading.Event()

    def deliver() -> None:
        while not over.is_set():
            if ours.left_in_inboxes(stack) < BOMBS:
                stack.admin.deliver(next(bombs), [mailbox])
            over.wait(_WEBHOOK_SECONDS)

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
