"""The rows on speed: rival, ours and the bound, one after another in each round, so that noise meets all of them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import ours
from bench.mails import Sample, deliver_silently, samples
from bench.ours import Drained
from bench.verify import verify_ours, verify_rival
from local.processes import ROOT
from local.stack import Stack
from local.tenants import LocalTenant

_WARM = 10  # mails for each mailbox, before a process is measured
_SETTLED_SECONDS = 0.2  # after one mail: the host settles the queue's message before the next mail comes


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers of mails of each kind in one round, and the number of rounds. 0: the kind is left out."""

    rounds: int
    backlog: int
    rival: int
    rival_paced: int = 0
    webhook: int = 0
    bound: int = 0
    four: int = 0
    single: int = 0


@dataclass(kw_only=True)
class Rounds:
    """The results at one latency, an entry for each round. Rates are mails a second, `latency` is milliseconds."""

    latency: float
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


def run(stack: Stack, tenant: LocalTenant, latency: float, counts: Counts, say: Callable[[str], None]) -> Rounds:
    """Run all rounds. Raises StuckError, and VerificationError where stored bytes differ from what was sent."""
    stack.admin.set_latency(latency)
    rounds = _Rounds(stack, tenant, counts, Rounds(latency=latency))
    rounds.warm()
    if counts.rival_paced:
        say(f"rival as the library comes, {counts.rival_paced} mails")
        rounds.rival_paced()
    for number in range(1, counts.rounds + 1):
        where = f"{latency:g} ms, round {number} of {counts.rounds}"
        say(f"{where}: rival without its waits, {counts.rival} mails")
        rounds.rival(number)
        say(f"{where}: ours, a backlog of {counts.backlog} by sweep")
        rounds.sweep(number)
        if counts.webhook:
            say(f"{where}: ours, {counts.webhook} by webhook")
            rounds.webhook(number)
        if counts.bound:
            say(f"{where}: the bound, {counts.bound} mails")
            rounds.bound(number)
    if counts.four:
        say(f"ours, {counts.four} in each mailbox: a round by one process, {counts.rounds} by four")
        rounds.four()
    if counts.single:
        say(f"ours, {counts.single} single mails")
        rounds.single()
    return rounds.result


class _Rounds:
    """The measurements of a round, each a method that appends to `result`."""

    def __init__(self, stack: Stack, tenant: LocalTenant, counts: Counts, result: Rounds) -> None:
        self.result = result
        self._stack = stack
        self._address = tenant.address
        self._counts = counts
        self._mailboxes = stack.identity.mailboxes

    def warm(self) -> None:
        """Ingest a few mails of each mailbox: all is imported and connected."""
        ours.drain_by_sweep(self._stack, self._in_each(_WARM, "warm"))

    def rival_paced(self) -> None:
        """Run the rival with the library's own pause between requests: 200 ms."""
        outcome = self._rival(self._made(self._counts.rival_paced, "paced"), delay_milliseconds=200)
        self.result.rival_paced.append(outcome["mails"] / outcome["seconds"])

    def rival(self, number: int) -> None:
        """Run the rival without pauses."""
        outcome = self._rival(self._made(self._counts.rival, f"rival-{number}"), delay_milliseconds=0)
        self.result.rival.append(outcome["mails"] / outcome["seconds"])
        self.result.rival_cpu.append(outcome["cpu_seconds"] / outcome["mails"])

    def sweep(self, number: int) -> None:
        """Drain a backlog of the first mailbox by sweep."""
        mails = self._made(self._counts.backlog, f"sweep-{number}")
        self.result.sweep.append(ours.drain_by_sweep(self._stack, {self._mailboxes[0]: mails}))
        self._verify(mails)

    def webhook(self, number: int) -> None:
        """Drain mails of the first mailbox by webhook."""
        mails = self._made(self._counts.webhook, f"webhook-{number}")
        self.result.webhook.append(ours.drain_by_webhook(self._stack, self._mailboxes[0], mails))
        self._verify(mails)

    def bound(self, number: int) -> None:
        """Try what four requests at a time allow."""
        mails = self._made(self._counts.bound, f"bound-{number}")
        deliver_silently(self._stack.admin, mails, self._mailboxes[0])
        outcome = child(self._stack, "bench.bound")
        self.result.bound.append(outcome["mails"] / outcome["seconds"])

    def four(self) -> None:
        """Drain all mailboxes: once by a single process, to show the effect of more, then by one for each mailbox.

        The rounds of the four processes follow one another: their start takes longer than a round.
        """
        self._four("four-1", self.result.four)
        with _processes(self._stack, len(self._mailboxes)):
            ours.drain_by_sweep(self._stack, self._in_each(_WARM, "four-warm"))
            for number in range(1, self._counts.rounds + 1):
                self._four(f"four-4-{number}", self.result.four_scaled_out)

    def single(self) -> None:
        """Deliver mails to an idle system, one at a time."""
        for mail in self._made(self._counts.single, "single"):
            self.result.single_milliseconds.append(ours.one_by_webhook(self._stack, self._mailboxes[0], mail))
            time.sleep(_SETTLED_SECONDS)

    def _four(self, label: str, results: list[Drained]) -> None:
        backlog = self._in_each(self._counts.four, label)
        results.append(ours.drain_by_sweep(self._stack, backlog))
        self._verify([mail for mails in backlog.values() for mail in mails])

    def _rival(self, mails: list[Sample], *, delay_milliseconds: int) -> dict[str, float]:
        deliver_silently(self._stack.admin, mails, self._mailboxes[0])
        outcome = child(self._stack, "bench.rival", "--delay", str(delay_milliseconds))
        self.result.verified += verify_rival(self._stack, mails)
        return outcome

    def _verify(self, mails: Sequence[Sample]) -> None:
        self.result.verified += verify_ours(self._stack, mails)

    def _in_each(self, count: int, label: str) -> dict[str, list[Sample]]:
        return {mailbox: self._made(count, f"{label}-{mailbox}") for mailbox in self._mailboxes}

    def _made(self, count: int, label: str) -> list[Sample]:
        return samples(count, address=self._address, label=f"{label}-{self.result.latency:g}")


@contextmanager
def _processes(stack: Stack, count: int) -> Iterator[None]:
    """Run so many hosts on the same queues, as a plan that scales out starts them."""
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
    """Run one of the benchmark's programs against the stack and return the JSON object that it prints."""
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
