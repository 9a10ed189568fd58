"""Log events and I/O become one trace per mail and measurements; nothing else leaves."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest import log, trace
from ingest.model.message_ref import Announcement, MessageRef
from ingest.telemetry.metrics import METRICS, measurements
from ingest.telemetry.recorder import Measurement, Record, Recorder, Span
from tests.fakes.values import MAILBOX, ref

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def records() -> list[Record]:
    return []


@pytest.fixture
def recorder(records: list[Record], clock: Clock) -> Iterator[Recorder]:
    one = Recorder(records.append, clock=clock)
    end = one.listen()
    yield one
    end()


def spans(records: list[Record]) -> dict[str, Span]:
    return {record.name: record for record in records if isinstance(record, Span)}


def measured(records: list[Record]) -> list[tuple[str, float, dict[str, object]]]:
    return [(one.metric, one.value, dict(one.attributes)) for one in records if isinstance(one, Measurement)]


def through_the_queue(message: MessageRef) -> MessageRef:
    return MessageRef.from_json(message.to_json())


def test_a_trace_spans_webhook_queue_and_ingest(recorder: Recorder, records: list[Record], clock: Clock) -> None:
    began = clock()
    clock.pass_by(1)
    announced = through_the_queue(recorder.announced(ref(), "notification", began))
    clock.pass_by(2)
    with recorder.mail("ingest_message", announced.announced), trace.span("sql.claim"):
        clock.pass_by(4)
    found = spans(records)
    assert len({span.trace_id for span in found.values()}) == 1
    assert {name: (span.ended - span.started) // SECOND for name, span in found.items()} == {
        "notification": 1,
        "queue": 2,
        "ingest_message": 4,
        "sql.claim": 4,
    }
    root = found["notification"]
    assert root.parent_id is None
    assert found["queue"].parent_id == found["ingest_message"].parent_id == root.span_id
    assert found["sql.claim"].parent_id == found["ingest_message"].span_id


def test_two_mails_of_one_post_are_two_traces(recorder: Recorder, records: list[Record], clock: Clock) -> None:
    for message_id in ("A1", "A2"):
        recorder.announced(ref(message_id), "notification", clock())
    assert len({record.trace_id for record in records if isinstance(record, Span)}) == 2


def test_a_mail_without_an_announcement_has_a_trace_of_its_own(recorder: Recorder, records: list[Record]) -> None:
    with recorder.mail("ingest_message", None):
        pass
    assert [span.parent_id for span in spans(records).values()] == [None]


def test_a_download_that_is_open_while_its_blocks_are_written_keeps_its_parent(
    recorder: Recorder, records: list[Record]
) -> None:
    def blocks() -> Iterator[bytes]:
        with trace.span("graph.get_mime.content"):
            yield b"1"
            yield b"2"

    with recorder.mail("ingest_message", None):
        for _ in blocks():
            with trace.span("blob.put_block"):
                pass
    found = spans(records)
    assert found["graph.get_mime.content"].parent_id == found["ingest_message"].span_id
    assert found["blob.put_block"].parent_id == found["graph.get_mime.content"].span_id


def test_what_raises_has_failed(recorder: Recorder, records: list[Record]) -> None:
    with pytest.raises(ValueError, match="x"), recorder.mail("ingest_message", None), trace.span("sql.claim"):
        raise ValueError("x")
    assert all(span.failed for span in spans(records).values())


def test_outside_of_a_mail_only_durations_are_recorded(recorder: Recorder, records: list[Record], clock: Clock) -> None:
    del recorder
    with trace.span("sql.unfinished"):
        clock.pass_by(0.5)
    assert spans(records) == {}
    assert measured(records) == [("ingest.step.duration", 0.5, {"step": "sql.unfinished"})]


def test_a_log_event_is_a_measurement_with_its_named_fields_only(recorder: Recorder, records: list[Record]) -> None:
    with recorder.mail("ingest_message", None):
        log.info(
            "message.done",
            mailbox=MAILBOX,
            message="AAkALg1",
            attempts=2,
            outcome="Stored",
            trigger="webhook",
            age_seconds=1.5,
            tenants="7",
        )
    assert measured(records) == [
        ("ingest.mails", 1, {"outcome": "Stored", "trigger": "webhook"}),
        ("ingest.mails.time_to_stored", 1.5, {"trigger": "webhook"}),
    ]
    assert spans(records)["ingest_message"].attributes == {
        "outcome": "Stored",
        "trigger": "webhook",
        "attempts": 2,
        "tenants": "7",
        "age_seconds": 1.5,
    }


def test_bytes_are_counted(recorder: Recorder, records: list[Record]) -> None:
    del recorder
    trace.count("blob.bytes", 7)
    assert measured(records) == [("ingest.bytes", 7, {})]


def test_throttled_calls_and_other_retries_are_counted_apart() -> None:
    assert measurements("graph.throttled", {"operation": "get_mime", "attempt": 1}) == [
        ("ingest.graph.retries", 1, {"throttled": True, "operation": "get_mime"})
    ]
    assert measurements("graph.retry", {"operation": "get_mime"})[0][2]["throttled"] is False


@pytest.mark.usefixtures("recorder")
def test_mails_that_wait_and_that_fail_are_measured(records: list[Record]) -> None:
    log.info("report.backlog", waiting=3, failing=2, oldest_seconds=90_000.5)
    assert sorted(measured(records)) == [
        ("ingest.mails.failing", 2, {}),
        ("ingest.mails.oldest_age", 90_000.5, {}),
        ("ingest.mails.waiting", 3, {}),
    ]


def test_no_metric_has_an_attribute_that_names_a_person_or_a_mail() -> None:
    allowed = {"outcome", "trigger", "reason", "queue", "operation", "throttled", "step", "check"}
    allowed |= {"scanner", "verdict", "kind"}  # of a scan of a blob, and of an answer to a sender
    for metric in METRICS:
        assert {*metric.attributes, *metric.fixed} <= allowed, metric.name


@pytest.mark.parametrize(
    "changed",
    [
        {"traceparent": "00-xyz"},
        {"traceparent": 7},
        {"announcedAt": "yesterday"},
        {"announcedAt": "2026-01-01T00:00:00"},
        {"announcedAt": None},
    ],
)
def test_a_context_that_makes_no_sense_stops_no_mail(changed: dict[str, object]) -> None:
    announced = replace(ref(), announced=Announcement(traceparent=f"00-{'a' * 32}-{'b' * 16}-01", at=datetime.now(UTC)))
    text = json.dumps({**json.loads(announced.to_json()), **changed})
    read = MessageRef.from_json(text)
    assert read == ref()
    assert read.announced is None


def test_the_context_travels_through_the_queue_and_is_no_part_of_the_address() -> None:
    announcement = Announcement(traceparent=f"00-{'a' * 32}-{'b' * 16}-01", at=datetime.now(UTC) - timedelta(minutes=1))
    read = through_the_queue(replace(ref(), announced=announcement))
    assert read.announced == announcement
    assert read == ref()
    assert read.key == ref().key
