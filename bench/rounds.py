"""The speed rows: rival, ours and the bound, one after another in every round, so that noise meets all of them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import ours
from bench.mails import Sample, deliver_silently, samples
from bench.ours import Drained
from bench.verify import verify_ours, verify_rival
from local.parts import ROOT
from local.stack import Stack
from local.tenants import LocalTenant

_WARM = 10  # mails for each mailbox, before a process is measured


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many mails of each kind, and how many rounds."""

    rounds: int
    backlog: int
    webhook: int
    rival: int
    rival_paced: int
    bound: int
    four: int
    single: int
    bursts: int


@dataclass(kw_only=True)
class Rounds:
    """What the rounds have brought, a value for each."""

    rival: list[float] = field(default_factory=list)
    rival_cpu: list[float] = field(default_factory=list)
    rival_paced: list[float] = field(default_factory=list)
    bound: list[float] = field(default_factory=list)
    sweep: list[Drained] = field(default_factory=list)
    webhook: list[Drained] = field(default_factory=list)
    four: list[Drained] = field(default_factory=list)
    four_scaled_out: list[Drained] = field(default_factory=list)
    single_milliseconds: list[float] = field(default_factory=list)
    verified: int = 0


def run(stack: Stack, tenant: LocalTenant, counts: Counts, say: Callable[[str], None]) -> Rounds:
    """All rounds. Raises StuckError, and VerificationError where anything stored is not what was sent."""
    first, *_ = mailboxes = stack.identity.mailboxes
    result = Rounds()

    def made(count: int, label: str) -> list[Sample]:
        return samples(count, address=tenant.address, label=label)

    ours.drain_by_sweep(stack, {mailbox: made(_WARM, f"warm-{mailbox}") for mailbox in mailboxes})
    for number in range(1, counts.rounds + 1):
        if counts.rival_paced and number == 1:
            say(f"rival as it comes, {counts.rival_paced} mails")
            mails = made(counts.rival_paced, "paced")
            deliver_silently(stack.admin, mails, first)
            outcome = child(stack, "bench.rival", "--delay", "200")
            result.rival_paced.append(outcome["mails"] / outcome["seconds"])
            result.verified += verify_rival(stack, mails)
        say(f"round {number} of {counts.rounds}: rival without its waits, {counts.rival} mails")
        mails = made(counts.rival, f"rival-{number}")
        deliver_silently(stack.admin, mails, first)
        outcome = child(stack, "bench.rival", "--delay", "0")
        result.rival.append(outcome["mails"] / outcome["seconds"])
        result.rival_cpu.append(outcome["cpu_seconds"] / outcome["mails"])
        result.verified += verify_rival(stack, mails)
        say(f"round {number}: ours, a backlog of {counts.backlog} by sweep")
        mails = made(counts.backlog, f"sweep-{number}")
        result.sweep.append(ours.drain_by_sweep(stack, {first: mails}))
        result.verified += verify_ours(stack, mails)
        say(f"round {number}: ours, {counts.webhook} by webhook")
        mails = made(counts.webhook, f"webhook-{number}")
        result.webhook.append(ours.drain_by_webhook(stack, first, mails))
        result.verified += verify_ours(stack, mails)
        say(f"round {number}: the bound, {counts.bound} mails")
        deliver_silently(stack.admin, made(counts.bound, f"bound-{number}"), first)
        outcome = child(stack, "bench.bound")
        result.bound.append(outcome["mails"] / outcome["seconds"])
        # One process only shows what the others bring: once is enough.
        ways = [(len(mailboxes), result.four_scaled_out), *([(1, result.four)] if number == 1 else [])]
        for processes, results in ways:
            say(f"round {number}: ours, {counts.four} in each of {len(mailboxes)} mailboxes, processes: {processes}")
            backlog = {mailbox: made(counts.four, f"four-{processes}-{number}-{mailbox}") for mailbox in mailboxes}
            with _processes(stack, processes):
                ours.drain_by_sweep(stack, {mailbox: made(_WARM, f"{number}-{mailbox}") for mailbox in mailboxes})
                results.append(ours.drain_by_sweep(stack, backlog))
            result.verified += verify_ours(stack, [mail for mails in backlog.values() for mail in mails])
    say(f"ours, {counts.single} single mails")
    for mail in made(counts.single, "single"):
        result.single_milliseconds.append(ours.one_by_webhook(stack, first, mail))
        time.sleep(0.2)  # an idle system: the host has settled the message before the next one comes
    return result


@contextmanager
def _processes(stack: Stack, count: int) -> Iterator[None]:
    """So many hosts on the same queues, as a plan that scales out starts them."""
    more = [stack.add_host() for _ in range(count - len(stack.hosts))]
    try:
        for host in more:
            host.start()
        yield
    finally:
        for host in more:
            host.stop()
            stack.hosts.remove(host)


def child(stack: Stack, module: str, *arguments: str) -> dict[str, float]:
    """Run one of the benchmark's programs against the stack; what it measured."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", module, "--stack", stack.data / "stack.json", *arguments],
        env=os.environ | {"REQUESTS_CA_BUNDLE": str(stack.graph.ca_file)},
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
