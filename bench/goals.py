"""The goals of the benchmark: each has a name, a threshold and a reader of what was measured.

A row without a threshold is shown and not judged.
"""

import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench import bound
from bench.burst import Burst
from bench.coldstart import ColdStart
from bench.growth import Growth
from bench.hostile import Contents, Hostile
from bench.inbox import Swept
from bench.load import Loaded, median_ratio
from bench.ours import Drained
from bench.processes import MIB, machine
from bench.report import Row, Spread
from bench.rounds import Rounds
from bench.sizes import Memory
from bench.traffic import Traffic


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The figure that the threshold judges, its text for the table, and the values behind it for programs."""

    figure: float
    shown: str
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A limit with its side: `≤ 1.5 x`."""

    sign: str
    holds: Callable[[float, float], bool]
    limit: float
    unit: str

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:,g} {self.unit}".rstrip()


def at_most(limit: float, unit: str = "") -> Threshold:
    """Return the threshold that a figure must not exceed."""
    return Threshold(sign="≤", holds=operator.le, limit=limit, unit=unit)


def at_least(limit: float, unit: str = "") -> Threshold:
    """Return the threshold that a figure must reach."""
    return Threshold(sign="≥", holds=operator.ge, limit=limit, unit=unit)


@dataclass(frozen=True, kw_only=True)
class Goal[Measured]:
    """One row. `name` is the key of the row in the kept results; `what` is its text in the table."""

    name: str
    what: str
    read: Callable[[Measured], Reading]
    threshold: Threshold | None = None

    def row(self, measured: Measured) -> Row:
        """Read the figure and judge it."""
        reading = self.read(measured)
        return Row(
            name=self.name,
            what=self.what,
            goal=str(self.threshold or ""),
            measured=reading.shown,
            reached=self.threshold.holds(reading.figure, self.threshold.limit) if self.threshold else None,
            values={"figure": reading.figure, **reading.values},
        )


def _import(measured: ColdStart) -> Reading:
    ratio = measured.function_app / measured.azure_functions
    return Reading(
        figure=ratio,
        shown=f"{ratio:.2f} x: {measured.function_app:.0f} ms beside {measured.azure_functions:.0f} ms",
        values={"function_app_ms": measured.function_app, "azure_functions_ms": measured.azure_functions},
    )


def _faster_rival(measured: Rounds) -> float:
    return max(Spread.of(rates).median for rates in (measured.rival, measured.rival_paced) if rates)


def _rival(measured: Rounds) -> Reading:
    paced, unpaced = Spread.of(measured.rival_paced), Spread.of(measured.rival)
    return Reading(
        figure=_faster_rival(measured),
        shown=f"{paced} / {unpaced}",
        values={"paced": paced.median, "unpaced": unpaced.median},
    )


def _limit(measured: Rounds) -> Reading:
    arithmetic, tried = bound.arithmetic_rate(measured.latency), Spread.of(measured.bound)
    return Reading(figure=arithmetic, shown=f"{arithmetic:.1f} / {tried}", values={"tried": tried.median})


def _backlog_beside_rival(measured: Rounds) -> Reading:
    rate, rival = Spread.of([drained.rate for drained in measured.sweep]), _faster_rival(measured)
    return Reading(
        figure=rate.median / rival,
        shown=f"{rate.median / rival:.2f} x: {rate} beside {rival:.1f}",
        values={"rate": rate.median, "least": rate.least, "most": rate.most, "rival": rival},
    )


def _backlog_beside_limit(measured: Rounds) -> Reading:
    rate, limit = Spread.of([drained.rate for drained in measured.sweep]), bound.arithmetic_rate(measured.latency)
    first = measured.sweep[0]
    return Reading(
        figure=rate.median / limit,
        shown=f"{rate.median / limit:.2f} of {limit:.1f}; {first.places_taken:.1f} of 4 places taken, "
        f"{first.request_milliseconds:.0f} ms a request at Graph",
        values={"limit": limit, "places_taken": first.places_taken, "request_ms": first.request_milliseconds},
    )


def _webhook_rate(measured: Rounds) -> Reading:
    rate, rival = Spread.of([drained.rate for drained in measured.webhook]), _faster_rival(measured)
    return Reading(
        figure=rate.median / rival, shown=f"{rate.median / rival:.2f} x: {rate}", values={"rate": rate.median}
    )


def _four_mailboxes(measured: Rounds) -> Reading:
    drained = measured.four_scaled_out
    cores = float(str(machine()["cores"]))
    rate, busy = Spread.of([one.rate for one in drained]), Spread.of([one.cores_busy for one in drained])
    core_seconds = Spread.of([one.cores_busy / one.rate for one in drained]).median
    allowed = cores / core_seconds
    one_mailbox = Spread.of([one.rate for one in measured.sweep]).median
    return Reading(
        figure=rate.median / allowed,
        shown=f"{rate.median / allowed:.0%}: {rate} mails/s of {allowed:.1f}, {rate.median / one_mailbox:.2f} x one "
        f"mailbox; {busy:.2f} of {cores:g} cores busy, {1000 * core_seconds:.0f} ms for each mail ({_shares(drained)})",
        values={
            "rate": rate.median,
            "allowed": allowed,
            "cores_busy": busy.median,
            "app_share": _share_of("functions host", drained),
        },
    )


def _four_mailboxes_one_process(measured: Rounds) -> Reading:
    rate, busy = (Spread.of([getattr(one, name) for one in measured.four]) for name in ("rate", "cores_busy"))
    return Reading(
        figure=rate.median,
        shown=f"{rate} mails/s; {busy:.2f} cores busy ({_shares(measured.four)})",
        values={"cores_busy": busy.median},
    )


def _single(measured: Rounds) -> Reading:
    spread, requests = Spread.of(measured.single_milliseconds), bound.REQUESTS_PER_MAIL * measured.latency
    return Reading(
        figure=(spread.median - 30) / requests,
        shown=f"({spread} - 30) beside {requests:.0f} ms: {(spread.median - 30) / requests:.2f} x",
        values={"milliseconds": spread.median},
    )


def _cpu(measured: Rounds) -> Reading:
    rival = Spread.of([1000 * seconds for seconds in measured.rival_cpu])
    host = Spread.of([1000 * drained.cpu["functions host"] / drained.mails for drained in measured.sweep])
    app = Spread.of([1000 * drained.cpu_app / drained.mails for drained in measured.sweep])
    return Reading(
        figure=host.median / rival.median,
        shown=f"{host.median / rival.median:.2f} x: {host} ms, of that the app's functions {app}, beside {rival}",
        values={"host": host.median, "app": app.median, "rival": rival.median},
    )


def _requests(measured: Traffic) -> Reading:
    by_way = {"webhook": measured.webhook, "sweep": measured.sweep}
    return Reading(
        figure=max(kind.requests_per_mail for kinds in by_way.values() for kind in kinds),
        shown="; ".join(
            f"{way} " + ", ".join(f"{kind.requests_per_mail:.2f}" for kind in kinds) for way, kinds in by_way.items()
        )
        + f"; {sum(kind.pages for kind in measured.sweep)} pages for {len(measured.sweep)} sweeps",
        values={f"{way}_{kind.attachments}": kind.requests_per_mail for way, kinds in by_way.items() for kind in kinds},
    )


def _bytes(measured: Traffic) -> Reading:
    return Reading(
        figure=max(kind.bytes_ratio for kind in measured.webhook),
        shown=", ".join(f"{kind.bytes_ratio:.3f} x" for kind in measured.webhook),
        values={f"webhook_{kind.attachments}": kind.bytes_ratio for kind in measured.webhook},
    )


def _webhook_answers(measured: Burst) -> Reading:
    ours, empty = (Spread.of([answers.p99 for answers in side]) for side in (measured.ours, measured.empty))
    return Reading(
        figure=ours.median / empty.median,
        shown=f"{ours.median / empty.median:.2f} x: {ours:.0f} ms beside {empty:.0f} ms; "
        f"{len(measured.ours)} bursts of each",
        values={"p99_ms": ours.median, "empty_p99_ms": empty.median},
    )


def _longest_answer(measured: Burst) -> Reading:
    longest = max(answers.longest for answers in measured.ours)
    return Reading(figure=longest, shown=f"{longest:.0f} ms")


def _memory_of_one(measured: Memory) -> Reading:
    return Reading(
        figure=measured.one / MIB,
        shown=f"{measured.one / MIB:.0f} MiB; the rival {measured.rival_one / MIB:.0f} MiB",
        values={"rival_mib": measured.rival_one / MIB},
    )


def _memory_of_four(measured: Memory) -> Reading:
    return Reading(figure=measured.four / MIB, shown=f"{measured.four / MIB:.0f} MiB")


def _sql(measured: Growth) -> Reading:
    few, many = Spread.of(measured.few), Spread.of(measured.many)
    return Reading(
        figure=many.median / few.median,
        shown=f"{many.median / few.median:.2f} x: {many:.2f} ms beside {measured.recorded:,} messages, {few:.2f} ms "
        "beside 1,000",
        values={"many_ms": many.median, "few_ms": few.median},
    )


def _search(measured: Growth) -> Reading:
    slowest = max(measured.searches, key=lambda name: measured.searches[name])
    return Reading(
        figure=1000 * measured.searches[slowest],
        shown=f"{1000 * measured.searches[slowest]:.0f} ms: {slowest}; median of all "
        f"{1000 * statistics.median(measured.searches.values()):.0f} ms",
        values={name.replace(" ", "_"): 1000 * seconds for name, seconds in measured.searches.items()},
    )


def _page_size(measured: Swept) -> Reading:
    per_listing = measured.queued / max(1, measured.listings)
    return Reading(
        figure=per_listing,
        shown=f"{per_listing:.0f} mails; {measured.mails:,} in the inbox, {measured.seconds:.1f} s, "
        f"{measured.memory / MIB:.0f} MiB above idle",
        values={"mib": measured.memory / MIB, "listings": measured.listings},
    )


def _queue_beyond_limit(measured: Swept) -> Reading:
    longest = max(measured.queued, measured.queued_again)
    return Reading(
        figure=longest - measured.limit,
        shown=f"{measured.queued:,} after the first sweep, {measured.queued_again:,} after the second; "
        f"limit {measured.limit:,}",
        values={"queued": measured.queued, "queued_again": measured.queued_again},
    )


def _hostile_seconds(measured: Contents) -> Reading:
    return Reading(figure=measured.seconds, shown=f"{measured.seconds:.2f} s: {measured.costliest}")


def _hostile_memory(measured: Contents) -> Reading:
    return Reading(figure=measured.memory / MIB, shown=f"{measured.memory / MIB:.0f} MiB: {measured.largest}")


def _honest_beside_bombs(measured: Hostile) -> Reading:
    alone, beside = Spread.of(measured.alone), Spread.of(measured.beside_bombs)
    return Reading(
        figure=beside.median / alone.median,
        shown=f"{beside.median / alone.median:.2f} x: {beside:.0f} ms beside {alone:.0f} ms",
        values={"beside_ms": beside.median, "alone_ms": alone.median},
    )


def _webhook_flooded(measured: Hostile) -> Reading:
    flooded, alone = measured.webhook_flooded.p99, measured.webhook_alone.p99
    return Reading(
        figure=flooded / alone,
        shown=f"{flooded / alone:.2f} x: {flooded:.0f} ms beside {alone:.0f} ms",
        values={"flooded_ms": flooded, "alone_ms": alone},
    )


def _share_of(part: str, drained: Sequence[Drained]) -> float:
    return sum(one.cpu.get(part, 0.0) for one in drained) / sum(sum(one.cpu.values()) for one in drained)


def _shares(drained: Sequence[Drained]) -> str:
    """Name the five parts of the stack with the largest share of the processor, the largest first."""
    shares = {part: _share_of(part, drained) for one in drained for part in one.cpu}
    largest = sorted(shares.items(), key=lambda entry: -entry[1])[:5]
    return ", ".join(f"{part} {share:.0%}" for part, share in largest)


def _beside_backlog(measured: Loaded) -> Reading:
    slowest = max(measured.during_backlog)
    return Reading(
        figure=slowest,
        shown=f"{slowest:,.0f} ms, backlog of {measured.backlog:,}",
        values={"median": statistics.median(measured.during_backlog)},
    )


def _beside_flood(measured: Loaded) -> Reading:
    ratio = median_ratio(measured)
    idle, beside = statistics.median(measured.idle), statistics.median(measured.during_flood)
    return Reading(
        figure=ratio,
        shown=f"{ratio:.2f} x ({beside:,.0f} ms, idle {idle:,.0f} ms), flood of {measured.flood:,}",
        values={"idle": idle, "beside": beside},
    )


COLD_START = (
    Goal(
        name="import",
        what="import of function_app beside azure.functions alone",
        threshold=at_most(1.5, "x"),
        read=_import,
    ),
)
SPEED = (
    Goal(name="rival", what="mails/s of the rival, as the library comes / without its waits", read=_rival),
    Goal(
        name="limit",
        what="mails/s of 4 requests at a time, 2 for a mail: by arithmetic / tried with nothing else to do",
        read=_limit,
    ),
    Goal(
        name="backlog",
        what="backlog by sweep, mails/s, beside the faster rival",
        threshold=at_least(6, "x"),
        read=_backlog_beside_rival,
    ),
    Goal(
        name="backlog_limit",
        what="the same beside the limit by arithmetic",
        threshold=at_least(0.85),
        read=_backlog_beside_limit,
    ),
    Goal(name="webhook", what="by webhook, mails/s, beside the faster rival", read=_webhook_rate),
    Goal(
        name="four",
        what="four mailboxes, four processes, beside what the cores allow by the CPU of everything",
        threshold=at_least(0.9),
        read=_four_mailboxes,
    ),
    Goal(name="four_one", what="four mailboxes, one process, one round", read=_four_mailboxes_one_process),
    Goal(
        name="single",
        what="one mail on an idle system, delivery until stored and deleted, less 30 ms, beside its 2 requests",
        threshold=at_most(1.15, "x"),
        read=_single,
    ),
    Goal(
        name="cpu",
        what="CPU of the host for one mail beside the rival's",
        threshold=at_most(0.8, "x"),
        read=_cpu,
    ),
)
DISTANT = (
    Goal(
        name="backlog_distant",
        what="at 200 ms: backlog by sweep, mails/s, beside the rival",
        threshold=at_least(6, "x"),
        read=_backlog_beside_rival,
    ),
    Goal(
        name="backlog_limit_distant",
        what="at 200 ms: the same beside the limit by arithmetic",
        threshold=at_least(0.95),
        read=_backlog_beside_limit,
    ),
)
TRAFFIC = (
    Goal(
        name="requests",
        what="requests to Graph for one mail with 0, 1, 5, 20 attachments, listings not counted",
        threshold=at_most(2.0),
        read=_requests,
    ),
    Goal(
        name="bytes",
        what="bytes from Graph for one mail with 0, 1, 5, 20 attachments, beside its MIME, by webhook",
        threshold=at_most(1.05, "x"),
        read=_bytes,
    ),
)
MEMORY = (
    Goal(
        name="memory_one",
        what="peak memory above idle, one mail of 140 MB",
        threshold=at_most(16, "MiB"),
        read=_memory_of_one,
    ),
    Goal(
        name="memory_four",
        what="peak memory above idle, four of them at once",
        threshold=at_most(48, "MiB"),
        read=_memory_of_four,
    ),
)
BURST = (
    Goal(
        name="answers",
        what="p99 of the webhook's answers to 1,000 notifications, beside an empty function with the same queue output",
        threshold=at_most(1.3, "x"),
        read=_webhook_answers,
    ),
    Goal(
        name="longest_answer",
        what="the longest of these answers; Graph waits 3 s",
        threshold=at_most(1000, "ms"),
        read=_longest_answer,
    ),
)
GROWTH = (
    Goal(
        name="sql",
        what="SQL for one mail beside many recorded messages, and beside few",
        threshold=at_most(1.1, "x"),
        read=_sql,
    ),
    Goal(
        name="search",
        what="the slowest search of the console in many recorded messages",
        threshold=at_most(300, "ms"),
        read=_search,
    ),
)
LOAD = (
    Goal(
        name="new_mail_beside_backlog",
        what="the slowest new mail while hosts work on a backlog",
        threshold=at_most(60_000, "ms"),
        read=_beside_backlog,
    ),
    Goal(
        name="other_tenant_beside_flood",
        what="another tenant's mail while one tenant's flood has its turns, beside idle",
        threshold=at_most(2, "x"),
        read=_beside_flood,
    ),
)
INBOX = (
    Goal(
        name="page",
        what="mails for each listing, sweep of a full inbox",
        threshold=at_least(500),
        read=_page_size,
    ),
    Goal(
        name="queue",
        what="messages on the queue beyond INGEST_SWEEP_LIMIT",
        threshold=at_most(0),
        read=_queue_beyond_limit,
    ),
)
CONTENTS = (
    Goal(
        name="hostile_seconds",
        what="processor time of the costliest hostile content",
        threshold=at_most(5, "s"),
        read=_hostile_seconds,
    ),
    Goal(
        name="hostile_memory",
        what="peak memory above idle of the largest hostile content",
        threshold=at_most(64, "MiB"),
        read=_hostile_memory,
    ),
)
HOSTILE = (
    Goal(
        name="honest_beside_bombs",
        what="an honest mail while 12 hostile ones are in another mailbox, until stored, beside the same alone",
        threshold=at_most(2, "x"),
        read=_honest_beside_bombs,
    ),
    Goal(
        name="webhook_flooded",
        what="p99 of the webhook's answers while hostile mails are ingested in the same process, beside the same idle",
        threshold=at_most(2, "x"),
        read=_webhook_flooded,
    ),
)
