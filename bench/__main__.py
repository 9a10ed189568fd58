"""`make bench`: measure every goal in one run."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import burst, chart, coldstart, goals, growth, hostile, inbox, load, report, rounds, sizes, traffic
from bench.goals import Goal
from bench.growth import Growth
from bench.hostile import Contents
from bench.inbox import Swept
from bench.load import Loaded
from bench.processes import machine
from bench.report import Row
from bench.rounds import Counts, Rounds
from local.stack import Stack

_MAILBOXES = ("upload@dms.cloud", "upload2@dms.cloud", "upload3@dms.cloud", "upload4@dms.cloud")
_CLIENT_STATE = "the-secret-of-the-benchmark"
_DISTANT_MILLISECONDS = 200.0  # closer to Graph's own latency
# Outlook's limit of 10,000 requests in ten minutes would stop the run in the middle: backlogs are compared here.
_NO_WINDOW = ("--requests-per-window", "10000000")
# The benchmark fires the timer by hand: a sweep every five minutes would take the rival's mails away.
_NO_SCHEDULE = {"AzureWebJobs.maintain.Disabled": "true"}
console = Console()


@dataclass(frozen=True, kw_only=True)
class Size:
    """Numbers of mails, rounds and records: a full run, or a small one that shows that the benchmark works."""

    near: Counts
    distant: Counts
    large_megabytes: int
    bursts: int
    recorded: int
    inbox: int
    load: int


_FULL = Size(
    near=Counts(rounds=3, backlog=500, rival=25, rival_paced=6, webhook=80, bound=80, four=200, single=15),
    distant=Counts(rounds=1, backlog=500, rival=10),
    large_megabytes=140,
    bursts=5,
    recorded=1_000_000,
    inbox=20_000,
    load=600,
)
_QUICK = Size(
    near=Counts(rounds=1, backlog=60, rival=20, rival_paced=5, webhook=30, bound=40, four=20, single=5),
    distant=Counts(rounds=1, backlog=40, rival=5),
    large_megabytes=20,
    bursts=3,
    recorded=20_000,
    inbox=2_000,
    load=300,
)


class Run:
    """One run of the benchmark: its size, its latency in milliseconds, and the stack that most parts share."""

    def __init__(self, data: Path, size: Size, latency: float, running: ExitStack) -> None:
        self.data = data
        self.size = size
        self.latency = latency
        self._running = running
        self._began = time.monotonic()
        self.spent: dict[str, float] = {}  # seconds, by part

    @cached_property
    def stack(self) -> Stack:
        """Return the stack with four mailboxes, started on first use."""
        # All mails are one tenant's: within the usual budget of an hour most of them would wait for their turn.
        settings = {"INGEST_CLIENT_STATE": _CLIENT_STATE, "INGEST_TENANT_BUDGET": "1000000", **_NO_SCHEDULE}
        stack = self._running.enter_context(_stack(self.data / "stack", settings=settings, mailboxes=_MAILBOXES))
        stack.admin.set_latency(self.latency)
        return stack

    @cached_property
    def contents(self) -> Contents:
        """Return the cost of hostile contents, measured on first use."""
        return hostile.contents(self.size.large_megabytes)

    @cached_property
    def records(self) -> Path:
        """Return the folder of the databases full of recorded mails, written on first use."""
        growth.prepare(folder := self.data / "growth", self.size.recorded)
        return folder

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began

    def say(self, what: str) -> None:
        """Print the measurement that begins now."""
        console.print(f"  {self.seconds:3.0f} s  {what}", highlight=False)


@dataclass(frozen=True, kw_only=True)
class Part[Measured]:
    """A measurement and the goals that it decides.

    `by_the_clock`: other work of the machine would change what is measured. `prepare`: work for this part that needs
    neither clock nor stack. It is done beside earlier parts that no clock measures.
    """

    name: str
    what: str
    measure: Callable[[Run], Measured]
    goals: Sequence[Goal[Measured]]
    by_the_clock: bool = True
    prepare: Callable[[Run], object] | None = None

    def rows(self, run: Run) -> Iterator[Row]:
        """Measure, then judge each goal."""
        run.say(self.what)
        measured = self.measure(run)
        for goal in self.goals:
            yield goal.row(measured)


def _near(run: Run) -> Rounds:
    return rounds.run(run.stack, run.stack.add_tenant("Bench"), run.latency, run.size.near, run.say)


def _distant(run: Run) -> Rounds:
    try:
        return rounds.run(run.stack, run.stack.add_tenant("Bench"), _DISTANT_MILLISECONDS, run.size.distant, run.say)
    finally:
        run.stack.admin.set_latency(run.latency)


def _growth(run: Run) -> Growth:
    return growth.measure(run.records, recorded=run.size.recorded, mails=200, rounds=3)


def _inbox(run: Run) -> Swept:
    limit = run.size.inbox // 2
    settings = {"INGEST_SWEEP_LIMIT": str(limit), **burst.WITHOUT_INGESTION, **_NO_SCHEDULE}
    with _stack(run.data / "inbox", settings=settings, mailboxes=_MAILBOXES[:1]) as stack:
        return inbox.measure(stack, stack.add_tenant("Bench"), run.size.inbox, limit)


def _load(run: Run) -> Loaded:
    settings = {**load.SETTINGS, **_NO_SCHEDULE}
    with _stack(run.data / "load", settings=settings, mailboxes=_MAILBOXES[:1], hosts=load.HOSTS) as stack:
        stack.admin.set_latency(run.latency)
        return load.measure(stack, run.size.load)


PARTS: tuple[Part[Any], ...] = (
    Part(name="import", what="import times", measure=lambda _: coldstart.measure(times=7), goals=goals.COLD_START),
    Part(name="speed", what="speed", measure=_near, goals=goals.SPEED),
    Part(name="distant", what="speed at 200 ms", measure=_distant, goals=goals.DISTANT),
    Part(
        name="traffic",
        what="requests and bytes",
        measure=lambda run: traffic.measure(run.stack, run.stack.add_tenant("Bench")),
        goals=goals.TRAFFIC,
        by_the_clock=False,  # requests and bytes are counted
    ),
    Part(
        name="memory",
        what="large attachments",
        measure=lambda run: sizes.measure(run.stack, run.stack.add_tenant("Bench"), run.size.large_megabytes),
        goals=goals.MEMORY,
        by_the_clock=False,  # bytes are counted
    ),
    Part(
        name="contents",
        what="hostile contents",
        measure=lambda run: run.contents,
        goals=goals.CONTENTS,
        prepare=lambda run: run.contents,
    ),
    Part(
        name="hostile",
        what="hostile mails",
        measure=lambda run: hostile.measure(
            run.stack,
            run.stack.add_tenant("Bench"),
            _CLIENT_STATE,
            honest=run.size.bursts * 2,
            notifications=200,
        ),
        goals=goals.HOSTILE,
    ),
    Part(  # stops the stack's host: after all that need the stack
        name="burst",
        what="bursts of 1,000 notifications",
        measure=lambda run: burst.measure(run.stack, _CLIENT_STATE, 1000, run.size.bursts),
        goals=goals.BURST,
    ),
    Part(
        name="growth",
        what="SQL and searches beside recorded messages",
        measure=_growth,
        goals=goals.GROWTH,
        prepare=lambda run: run.records,
    ),
    Part(name="inbox", what="a sweep of a full inbox", measure=_inbox, goals=goals.INBOX),
    Part(name="load", what="single mails beside a backlog and a flood", measure=_load, goals=goals.LOAD),
)


def main() -> int:
    """Measure, print and keep the results. The exit code is 0 for a missed goal, too."""
    options = _parser().parse_args()
    surroundings = {"latency_milliseconds": options.latency, "quick": options.quick, **machine()}
    parts = [part for part in PARTS if not options.only or part.name in options.only]
    with tempfile.TemporaryDirectory(prefix="mail-ingest-bench-") as folder, ExitStack() as running:
        run = Run(Path(folder), _QUICK if options.quick else _FULL, options.latency, running)
        rows = list(_rows(run, parts))
    latency = f"{options.latency:g} ms for every request to Graph"
    console.print(f"\n{surroundings['cores']} cores, {latency}, {run.seconds:.0f} s in all:", highlight=False)
    console.print(", ".join(f"{name} {seconds:.0f} s" for name, seconds in run.spent.items()) + "\n", highlight=False)
    report.print_table(console, rows)
    if options.quick or options.only:
        return 0
    path = report.write(rows, {**surroundings, "seconds": run.spent})
    console.print(f"Kept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    console.print(f"Chart: {chart.draw(path)}")
    return 0


def _rows(run: Run, parts: Sequence[Part[Any]]) -> Iterator[Row]:
    """Measure one part after another; beside those that no clock measures, prepare all that follow."""
    waiting = [part for part in parts if part.prepare]
    for by_the_clock, some in groupby(parts, key=lambda part: part.by_the_clock):
        with nullcontext() if by_the_clock else _prepared(run, waiting):
            for part in some:
                began = run.seconds
                yield from part.rows(run)
                run.spent[part.name] = round(run.seconds - began, 1)


@contextmanager
def _prepared(run: Run, parts: Sequence[Part[Any]]) -> Iterator[None]:
    """Prepare the parts beside the block, and wait for their end."""
    _ = run.stack  # started before: migrations run in one thread at a time
    with ThreadPoolExecutor() as threads:
        preparing = [threads.submit(part.prepare, run) for part in parts if part.prepare]
        yield
        began = run.seconds
        for each in preparing:
            each.result()
    run.spent["waiting"] = round(run.seconds - began, 1)


@contextmanager
def _stack(data: Path, **options: Any) -> Iterator[Stack]:  # noqa: ANN401 - the stack's own options
    with Stack(data, simulator_arguments=_NO_WINDOW, **options) as stack:
        yield stack
    shutil.rmtree(data, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--latency", type=_positive, default=50, help="ms that each request to Graph takes (default: 50)"
    )
    parser.add_argument("--quick", action="store_true", help="small numbers: to see that it works, not to compare")
    parser.add_argument(
        "--only",
        action="append",
        choices=[part.name for part in PARTS],
        help="measure this part only and keep no results; can be given more than once",
    )
    return parser


def _positive(text: str) -> float:
    if (value := float(text)) <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
