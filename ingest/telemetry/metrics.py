"""The metrics: which log event counts into which instrument, and with which attributes.

Only the attributes named here leave the process. No log field that names a person, a mailbox or a message is among
them. Names and units follow https://opentelemetry.io/docs/specs/semconv/general/metrics/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

type Kind = Literal["counter", "gauge", "histogram"]
type Attribute = str | bool | int | float

STEP = "step"  # the event of every I/O span that ended: `step` is its name, `seconds` its duration


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One log event as a measurement.

    `value`: the event's field that is measured; without one each event counts 1. `attributes`: the event's fields that
    go with the value. `fixed`: attributes that the event itself means.
    """

    name: str
    kind: Kind
    unit: str
    event: str
    says: str
    value: str | None = None
    attributes: tuple[str, ...] = ()
    fixed: Mapping[str, Attribute] = field(default_factory=dict)


METRICS: tuple[Metric, ...] = (
    Metric(
        name="ingest.mails",
        kind="counter",
        unit="{mail}",
        event="message.done",
        says="Mails that were worked on to an end",
        attributes=("outcome", "trigger"),
    ),
    Metric(
        name="ingest.mails.quarantined",
        kind="counter",
        unit="{mail}",
        event="message.rejected",
        says="Mails moved to Quarantine",
        attributes=("reason",),
    ),
    Metric(
        name="ingest.mails.held",
        kind="counter",
        unit="{mail}",
        event="message.held",
        says="Copies of mails that wait in a tenant's waiting room",
        attributes=("reason",),
    ),
    Metric(
        name="ingest.mails.time_to_stored",
        kind="histogram",
        unit="s",
        event="message.done",
        says="Time from Exchange's receipt of a mail until it is stored",
        value="age_seconds",
        attributes=("trigger",),
    ),
    Metric(
        name="ingest.mails.oldest_age",
        kind="gauge",
        unit="s",
        event="report.backlog",
        says="Age of the oldest mail that is not done; 0 where all are",
        value="oldest_seconds",
    ),
    Metric(
        name="ingest.mails.waiting",
        kind="gauge",
        unit="{mail}",
        event="report.backlog",
        says="Mails that are not done",
        value="waiting",
    ),
    Metric(
        name="ingest.mails.failing",
        kind="gauge",
        unit="{mail}",
        event="report.backlog",
        says="Mails that were tried in vain for more than a day",
        value="failing",
    ),
    Metric(
        name="ingest.sweep.unannounced",
        kind="counter",
        unit="{mail}",
        event="sweep.unannounced",
        says="Mails that the sweep found, older than any notification is late, and no notification had announced",
        value="mails",
    ),
    Metric(
        name="ingest.notification.delay",
        kind="histogram",
        unit="s",
        event="message.done",
        says="Time from Exchange's receipt of a mail until Graph's notification",
        value="announced_after_seconds",
    ),
    Metric(
        name="ingest.quarantine.size",
        kind="gauge",
        unit="{mail}",
        event="report.quarantine",
        says="Mails in the Quarantine folders",
        value="mails",
    ),
    Metric(
        name="ingest.subscription.remaining",
        kind="gauge",
        unit="s",
        event="report.subscriptions",
        says="Time until the first subscription ends; 0 where a mailbox has none",
        value="remaining_seconds",
    ),
    Metric(
        name="ingest.credential.remaining",
        kind="gauge",
        unit="s",
        event="report.credential",
        says="Time until the client secret or certificate ends",
        value="remaining_seconds",
    ),
    Metric(
        name="ingest.queue.length",
        kind="gauge",
        unit="{message}",
        event="report.queue",
        says="Messages on a queue",
        value="length",
        attributes=("queue",),
    ),
    Metric(
        name="ingest.graph.retries",
        kind="counter",
        unit="{retry}",
        event="graph.retry",
        says="Calls to Graph that were tried again",
        attributes=("operation",),
        fixed={"throttled": False},
    ),
    Metric(
        name="ingest.graph.retries",
        kind="counter",
        unit="{retry}",
        event="graph.throttled",
        says="Calls to Graph that were tried again",
        attributes=("operation",),
        fixed={"throttled": True},
    ),
    Metric(
        name="ingest.scan.results",
        kind="counter",
        unit="{blob}",
        event="scan.recorded",
        says="Verdicts on malware",
        attributes=("verdict", "scanner"),
    ),
    Metric(
        name="ingest.scan.unexpected",
        kind="counter",
        unit="{result}",
        event="scan.unexpected",
        says="Results of a malware scan while the app expects none",
    ),
    Metric(
        name="ingest.answers",
        kind="counter",
        unit="{answer}",
        event="answer.ended",
        says="Attempts to send an answer to a sender",
        attributes=("kind", "outcome"),
    ),
    Metric(
        name="ingest.bytes",
        kind="counter",
        unit="By",
        event="blob.bytes",
        says="Bytes written to Blob",
        value="amount",
    ),
    Metric(
        name="ingest.step.duration",
        kind="histogram",
        unit="s",
        event=STEP,
        says="Duration of one call to Graph, Blob or Postgres",
        value="seconds",
        attributes=("step",),
    ),
    Metric(
        name="ingest.doctor.failed",
        kind="gauge",
        unit="{check}",
        event="doctor.checked",
        says="1 where a daily check failed, else 0",
        value="failed",
        attributes=("check",),
    ),
)

# Fields of `message.done` that stand on the span of a mail. A histogram at Azure has no percentiles: the workbook takes
# those of the time to stored from the spans.
SPAN_ATTRIBUTES = ("outcome", "trigger", "attempts", "tenants", "age_seconds")


def measurements(event: str, fields: Mapping[str, object]) -> list[tuple[str, float, dict[str, Attribute]]]:
    """Return what an event measures: instrument, value, attributes. An event without the value measures nothing."""
    found = []
    for metric in _BY_EVENT.get(event, ()):
        value = 1 if metric.value is None else fields.get(metric.value)
        if isinstance(value, int | float):
            attributes = {**metric.fixed, **attributes_of(fields, metric.attributes)}
            found.append((metric.name, float(value), attributes))
    return found


def attributes_of(fields: Mapping[str, object], names: tuple[str, ...]) -> dict[str, Attribute]:
    """Return the named fields as attributes; those that are missing or None are left out."""
    return {
        name: value if isinstance(value, bool | int | float) else str(value)
        for name in names
        if (value := fields.get(name)) is not None
    }


_BY_EVENT: dict[str, list[Metric]] = {}
for _metric in METRICS:
    _BY_EVENT.setdefault(_metric.event, []).append(_metric)
