"""`make bench`: every goal, measured in one run."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import bound, burst, chart, coldstart, growth, inbox, report, rounds, sizes
from bench.ours import Drained
from bench.processes import MIB, machine
from bench.report import Row, Spread
from bench.rounds import Counts, Rounds
from local.stack import Stack

_MAILBOXES = ("upload@dms.cloud", "upload2@dms.cloud", "upload3@dms.cloud", "upload4@dms.cloud")
_CLIENT_STATE = "what the benchmark's notifications carry"
# Outlook's 10,000 in ten minutes would end the run in its middle: what is compared here is how fast a backlog goes.
_NO_WINDOW = ("--requests-per-window", "10000000")
# Fired when a measurement begins, and not every five minutes: that sweep would take the rival's mails away.
_NO_SCHEDULE = {"AzureWebJobs.maintain.Disabled": "true"}
_FULL = Counts(rounds=3, backlog=500, webhook=80, rival=40, rival_paced=10, bound=80, four=100, single=15, bursts=5)
_QUICK = Counts(rounds=1, backlog=60, webhook=30, rival=20, rival_paced=5, bound=40, four=20, single=5, bursts=3)
_began = time.monotonic()
console = Console()


def main() -> int:
    """Measure, print, and keep the results; the exit code is 0 whatever was reached."""
    options = _parser().parse_args()
    surroundings = {"latency_milliseconds": options.latency, "quick": options.quick, **machine()}
    counts = _QUICK if options.quick else _FULL
    with tempfile.TemporaryDirectory(prefix="mail-ingest-bench-") as folder:
        data = Path(folder)
        rows = [*_cold_start(), *_running(data, counts, options)]
        rows += _growth(data, options)
        rows += _inbox(data, options)
    console.print(
        f"\n{surroundings['cores']} cores, {options.latency:g} ms for every request to Graph, "
        f"{time.monotonic() - _began:.0f} s in all\n"
    )
    report.print_table(console, rows)
    path = report.write(rows, surroundings)
    console.print(f"Kept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    if not options.quick:
        console.print(f"Chart: {chart.draw(path)}")
    return 0


def _cold_start() -> Iterator[Row]:
    say("import times")
    ours, theirs = coldstart.measure(times=7)
    yield Row(
        what="import of function_app beside azure.functions alone",
        goal="≤ 1.5 x",
        measured=f"{ours / theirs:.2f} x: {ours:.0f} ms beside {theirs:.0f} ms",
        reached=ours / theirs <= 1.5,  # noqa: PLR2004 - the goal
        values={"function_app_ms": ours, "azure_functions_ms": theirs},
    )


def _running(data: Path, counts: Counts, options: argparse.Namespace) -> Iterator[Row]:
    settings = {"INGEST_CLIENT_STATE": _CLIENT_STATE, **_NO_SCHEDULE}
    with _stack(data / "stack", settings=settings, mailboxes=_MAILBOXES) as stack:
        tenant = stack.add_tenant("Bench")
        stack.admin.set_latency(options.latency)
        measured = rounds.run(stack, tenant, counts, say)
        yield from _speed(measured, options.latency)
        megabytes = 20 if options.quick else 140
        say(f"attachments of {megabytes} MB")
        yield from _memory(sizes.measure(stack, tenant, megabytes), megabytes)
        say(f"a burst of 1,000 notifications, {counts.bursts} times")
        yield _burst(burst.measure(stack, _CLIENT_STATE, 1000, counts.bursts))


def _speed(measured: Rounds, latency: float) -> Iterator[Row]:
    rival, paced = Spread.of(measured.rival), Spread.of(measured.rival_paced)
    faster, sweep = max(rival.median, paced.median), Spread.of([d.rate for d in measured.sweep])
    webhook, four = Spread.of([d.rate for d in measured.webhook]), Spread.of([d.rate for d in measured.four])
    limit, tried = bound.arithmetic_rate(latency), Spread.of(measured.bound)
    mails, first = measured.sweep[0].mails, measured.sweep[0]
    yield Row(
        what="mails/s: the rival, as the library comes / without its waits",
        goal="",
        measured=f"{paced} / {rival}",
        reached=None,
        values={"paced": paced.median, "unpaced": rival.median},
    )
    yield Row(
        what="mails/s that 4 requests at a time allow, 3 for a mail: by arithmetic / tried with nothing else to do",
        goal="",
        measured=f"{limit:.1f} / {tried}",
        reached=None,
        values={"arithmetic": limit, "tried": tried.median},
    )
    yield Row(
        what=f"backlog of {mails} mails by sweep, mails/s, beside the faster rival",
        goal="≥ 4 x",
        measured=f"{sweep.median / faster:.2f} x: {sweep}",
        reached=sweep.median >= 4 * faster,
        values={"rate": sweep.median, "least": sweep.least, "most": sweep.most, "ratio": sweep.median / faster},
    )
    yield Row(
        what="the same beside the bound by arithmetic",
        goal="≥ 0.9",
        measured=f"{sweep.median / limit:.2f}, {sweep.median / tried.median:.2f} of what was tried; "
        f"{first.places_taken:.1f} of 4 places taken, {first.request_milliseconds:.0f} ms a request at Graph",
        reached=sweep.median >= 0.9 * limit,
        values={
            "ratio": sweep.median / limit,
            "ratio_tried": sweep.median / tried.median,
            "places_taken": first.places_taken,
            "request_ms": first.request_milliseconds,
        },
    )
    yield Row(
        what="by webhook, mails/s, beside the faster rival",
        goal="",
        measured=f"{webhook.median / faster:.2f} x: {webhook}",
        reached=None,
        values={"rate": webhook.median},
    )
    cores = float(str(machine()["cores"]))
    scaled = Spread.of([d.rate for d in measured.four_scaled_out])
    busy, busy_scaled = (_cores_busy(drained) for drained in (measured.four, measured.four_scaled_out))
    core_seconds = Spread.of([d.cores_busy / d.rate for d in measured.four_scaled_out]).median
    yield Row(
        what="the same over 4 mailboxes by 4 processes, beside one by one",
        goal="≥ 3.5 x, until the processor is the limit",
        measured=f"{scaled.median / sweep.median:.2f} x: {scaled}; {busy_scaled:.2f} of {cores:g} cores busy "
        f"({_shares(measured.four_scaled_out)}), {1000 * core_seconds:.0f} ms of them for each mail: "
        f"full, they would do {cores / core_seconds:.1f}",
        reached=scaled.median >= 3.5 * sweep.median,
        values={
            "rate": scaled.median,
            "ratio": scaled.median / sweep.median,
            "cores_busy": busy_scaled.median,
            "cores_allow": cores / core_seconds,
        },
    )
    yield Row(
        what="the same over 4 mailboxes by one process, one round",
        goal="",
        measured=f"{four.median / sweep.median:.2f} x: {four}; {busy:.2f} of {cores:g} cores busy "
        f"({_shares(measured.four)})",
        reached=None,
        values={"rate": four.median, "ratio": four.median / sweep.median, "cores_busy": busy.median},
    )
    by_sweep, pages = _requests(first)
    by_webhook, _ = _requests(measured.webhook[0])
    yield Row(
        what="requests to Graph for a mail with one attachment: webhook / sweep",
        goal="≤ 4 / ≤ 3 + pages",
        measured=f"{by_webhook:.2f} / {by_sweep:.2f} + {pages} pages",
        reached=by_webhook <= 4 and by_sweep <= 3,  # noqa: PLR2004 - the goals
        values={"webhook": by_webhook, "sweep": by_sweep},
    )
    single, sequence = Spread.of(measured.single_milliseconds), 4 * latency
    yield Row(
        what="one mail on an idle system, ms from delivery until it is stored and deleted, beside its 4 requests",
        goal="≤ 1.5 x",
        measured=f"{single.median / sequence:.2f} x: {single} beside {sequence:.0f}" if latency else f"{single}",
        reached=single.median <= 1.5 * sequence if latency else None,
        values={"milliseconds": single.median},
    )
    rival_cpu = Spread.of([1000 * seconds for seconds in measured.rival_cpu])
    host = Spread.of([1000 * d.cpu["functions host"] / d.mails for d in measured.sweep])
    app = Spread.of([1000 * d.cpu_app / d.mails for d in measured.sweep])
    yield Row(
        what="CPU ms for a mail: the host's process / of it the app's functions / the rival",
        goal="≤ the rival's",
        measured=f"{host} / {app} / {rival_cpu}",
        reached=host.median <= rival_cpu.median,
        values={"host": host.median, "app": app.median, "rival": rival_cpu.median},
    )


def _requests(drained: Drained) -> tuple[float, int]:
    """Requests for each mail that name a message, and pages of listings."""
    pages = sum(count for route, count in drained.requests.items() if route.endswith("/messages"))
    return sum(count for route, count in drained.requests.items() if "{message}" in route) / drained.mails, pages


def _cores_busy(drained: Sequence[Drained]) -> Spread:
    return Spread.of([one.cores_busy for one in drained])


def _shares(drained: Sequence[Drained]) -> str:
    """Which part of the stack had how much of the processor, the largest first."""
    total: dict[str, float] = {}
    for one in drained:
        for part, seconds in one.cpu.items():
            total[part] = total.get(part, 0) + seconds
    everything = sum(total.values())
    return ", ".join(
        f"{part} {seconds / everything:.0%}" for part, seconds in sorted(total.items(), key=lambda entry: -entry[1])[:5]
    )


def _burst(bursts: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Row:
    ours, theirs = (Spread.of([burst.percentile(one[whose], 99) for one in bursts]) for whose in (0, 1))
    ratio = Spread.of([burst.percentile(mine, 99) / burst.percentile(empty, 99) for mine, empty in bursts])
    longest = max(max(mine) for mine, _ in bursts)
    return Row(
        what="webhook's answers to 1,000 notifications, p99 ms beside an empty function",
        goal="≤ 3 x, none above 1 s",
        measured=f"{ratio:.2f} x: {ours:.0f} beside {theirs:.0f}; the longest {longest:.0f} ms",
        reached=ratio.median <= 3 and longest <= 1000,  # noqa: PLR2004 - the goals
        values={"p99_ms": ours.median, "empty_p99_ms": theirs.median, "ratio": ratio.median, "longest_ms": longest},
    )


def _memory(memory: sizes.Memory, megabytes: int) -> Iterator[Row]:
    for what, bytes_held, most in (
        (f"one mail with {megabytes} MB", memory.one, 32),
        ("four of them at once", memory.four, 64),
    ):
        yield Row(
            what=f"peak memory above idle, {what} (the rival, one: {memory.rival_one / MIB:.0f} MiB)",
            goal=f"≤ {most} MiB",
            measured=f"{bytes_held / MIB:.0f} MiB",
            reached=bytes_held <= most * MIB,
            values={"mib": bytes_held / MIB, "rival_mib": memory.rival_one / MIB},
        )


def _growth(data: Path, options: argparse.Namespace) -> Iterator[Row]:
    many = 20_000 if options.quick else 1_000_000
    say(f"1,000 and {many:,} recorded messages")
    few_ms, many_ms = map(Spread.of, growth.measure(data / "growth", recorded=(1_000, many), mails=200, rounds=3))
    whole = 4 * options.latency + few_ms.median
    yield Row(
        what=f"SQL for a mail beside {many:,} recorded messages, and beside 1,000",
        goal="≤ 1.1 x",
        measured=f"{many_ms.median:.2f} ms beside {few_ms.median:.2f} ms, {many_ms.median / few_ms.median:.2f} x; "
        f"of a mail's {whole:.0f} ms: {(whole + many_ms.median - few_ms.median) / whole:.3f} x",
        reached=many_ms.median <= 1.1 * few_ms.median,
        values={"many_ms": many_ms.median, "few_ms": few_ms.median},
    )


def _inbox(data: Path, options: argparse.Namespace) -> Iterator[Row]:
    mails = 2_000 if options.quick else 20_000
    say(f"a sweep of {mails:,} mails")
    limit = mails // 2
    settings = {"INGEST_SWEEP_LIMIT": str(limit), **burst.WITHOUT_INGESTION, **_NO_SCHEDULE}
    with _stack(data / "inbox", settings=settings, mailboxes=_MAILBOXES[:1]) as stack:
        swept = inbox.measure(stack, stack.add_tenant("Bench"), mails)
    per_listing = limit / max(1, swept.listings)
    yield Row(
        what=f"sweep of an inbox of {mails:,}: memory above idle / mails a listing / queue",
        goal=f"flat (not judged here) / ≥ 500 / ≤ {limit:,}",
        measured=f"{swept.memory / MIB:.0f} MiB / {per_listing:.0f} / {swept.queued:,}, after "
        f"another sweep {swept.queued_again:,}; {swept.seconds:.1f} s",
        reached=per_listing >= 500 and max(swept.queued, swept.queued_again) <= limit,  # noqa: PLR2004 - the goal
        values={"mib": swept.memory / MIB, "listings": swept.listings, "queued": swept.queued},
    )


def say(what: str) -> None:
    """What is being measured now."""
    console.print(f"  {time.monotonic() - _began:3.0f} s  {what}", highlight=False)


@contextmanager
def _stack(data: Path, **options: Any) -> Iterator[Stack]:  # noqa: ANN401 - the stack's own options
    say("starting the stack")
    with Stack(data, simulator_arguments=_NO_WINDOW, **options) as stack:
        yield stack
    shutil.rmtree(data, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--latency", type=float, default=50, help="ms that each request to Graph takes (default: 50)")
    parser.add_argument("--quick", action="store_true", help="small numbers: to see that it works, not to compare")
    return parser


if __name__ == "__main__":
    sys.exit(main())
