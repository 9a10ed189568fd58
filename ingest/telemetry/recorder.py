"""Log events and I/O spans, recorded as spans of one trace per mail and as measurements.

Standard library only: a webhook answers before any SDK is imported (ingest.telemetry.export does that behind it).

    notification ─ queue ─ ingest_message ─┬─ sql.claim
                                           ├─ graph.get_mime
                                           └─ …

The notification's span is the root of the mail's trace. Its context travels in the queue message, in W3C's form:
https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ingest import log, trace
from ingest.model.message_ref import Announcement, MessageRef
from ingest.telemetry.metrics import SPAN_ATTRIBUTES, STEP, Attribute, attributes_of, measurements

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One finished span. Times in nanoseconds since 1970."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    started: int
    ended: int
    failed: bool = False
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One value of a metric (ingest.telemetry.metrics)."""

    metric: str
    value: float
    attributes: Mapping[str, Attribute]


type Record = Span | Measurement


@dataclass(kw_only=True, slots=True)
class _Open:
    """A span that has begun."""

    name: str
    span_id: int
    started: int


@dataclass(kw_only=True, slots=True)
class _Work:
    """The work of this thread. `trace_id` is None outside of a mail: then only durations are recorded."""

    trace_id: int | None = None
    open: list[_Open] = field(default_factory=list)
    attributes: dict[str, Attribute] = field(default_factory=dict)


_work: ContextVar[_Work | None] = ContextVar("telemetry_work", default=None)


class Recorder:
    """A listener that makes records and hands each to `sink`, which must not block."""

    def __init__(self, sink: Callable[[Record], None], *, clock: Callable[[], int] = time.time_ns) -> None:
        """`clock`: nanoseconds since 1970."""
        self._sink = sink
        self._clock = clock

    def listen(self) -> Callable[[], None]:
        """Listen to this process's log and I/O. Returns the function that ends it."""
        ends = (
            log.subscribe(self._on_event),
            trace.subscribe(self._on_call),
            trace.subscribe_meter(lambda name, amount: self._on_event(name, {"amount": amount})),
        )

        def end() -> None:
            for one in ends:
                one()

        return end

    def announced(self, ref: MessageRef, name: str, since: int) -> MessageRef:
        """Return the reference with the context of a new trace. Its root, `name`, began at `since`."""
        now = self._clock()
        trace_id, span_id = _random(16), _random(8)
        self._sink(Span(name=name, trace_id=trace_id, span_id=span_id, parent_id=None, started=since, ended=now))
        at = datetime.fromtimestamp(now / _NANOSECONDS, UTC)
        return replace(ref, announced=Announcement(traceparent=f"00-{trace_id:032x}-{span_id:016x}-01", at=at))

    @contextmanager
    def mail(self, name: str, announced: Announcement | None) -> Iterator[None]:
        """Record everything in here as one span of the mail's trace: of a new trace where nothing announced it."""
        now = self._clock()
        trace_id, parent = _random(16), None
        if announced is not None:
            _, trace_hex, parent_hex, _ = announced.traceparent.split("-")
            trace_id, parent = int(trace_hex, 16), int(parent_hex, 16)
            queued = min(int(announced.at.timestamp() * _NANOSECONDS), now)
            waited = _random(8)
            self._sink(
                Span(name="queue", trace_id=trace_id, span_id=waited, parent_id=parent, started=queued, ended=now)
            )
        root = _Open(name=name, span_id=_random(8), started=now)
        work = _Work(trace_id=trace_id, open=[root])
        token = _work.set(work)
        failed = True
        try:
            yield
            failed = False
        finally:
            _work.reset(token)
            self._sink(
                Span(
                    name=name,
                    trace_id=trace_id,
                    span_id=root.span_id,
                    parent_id=parent,
                    started=now,
                    ended=self._clock(),
                    failed=failed,
                    attributes=work.attributes,
                )
            )

    def _on_event(self, event: str, fields: Mapping[str, object]) -> None:
        for metric, value, attributes in measurements(event, fields):
            self._sink(Measurement(metric=metric, value=value, attributes=attributes))
        work = _work.get()
        if event == "message.done" and work is not None:
            work.attributes.update(attributes_of(fields, SPAN_ATTRIBUTES))

    def _on_call(self, name: str, phase: trace.Phase) -> None:
        work = _work.get()
        if work is None:
            work = _Work()
            _work.set(work)
        if phase == "before":
            work.open.append(_Open(name=name, span_id=_random(8), started=self._clock()))
            return
        # A download is open while its blocks are written: the call that ends is not always the last that began.
        index = next((i for i in range(len(work.open) - 1, -1, -1) if work.open[i].name == name), None)
        if index is None:
            return
        call, now = work.open.pop(index), self._clock()
        self._on_event(STEP, {"step": name, "seconds": (now - call.started) / _NANOSECONDS})
        if work.trace_id is not None:
            self._sink(
                Span(
                    name=name,
                    trace_id=work.trace_id,
                    span_id=call.span_id,
                    parent_id=work.open[max(index - 1, 0)].span_id,
                    started=call.started,
                    ended=now,
                    failed=phase == "failed",
                )
            )


def _random(octets: int) -> int:
    """Return a random id that is not zero: zero means "no trace"."""
    return int.from_bytes(os.urandom(octets)) or 1
