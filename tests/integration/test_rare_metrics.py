"""The metrics of a bad day at the OTLP receiver: names, units and attributes, each produced by the code that measures.

The metrics of a good day: test_telemetry.py. Gauges of the timer: test_alerts.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import AnswerRefused
from ingest.model.message import ListedMessage
from ingest.model.message_ref import Trigger
from ingest.settings import Scanner
from ingest.storage import database as storage
from ingest.storage.backlog import Backlog
from ingest.telemetry.destinations import OTLP
from ingest.telemetry.export import Exporter
from ingest.telemetry.metrics import METRICS
from ingest.telemetry.recorder import Recorder
from scanning.scans import Watch
from tests.fakes import answers, scans
from tests.fakes.graph_endpoint import Answer, error, graph
from tests.fakes.mail import email
from tests.fakes.otlp import Receiver, receiving
from tests.fakes.values import ref
from tests.fakes.world import FIRST, World
from tests.integration.databases import Database

pytestmark = pytest.mark.shares("postgres")

UNITS = {metric.name: metric.unit for metric in METRICS}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver of everything that this process measures."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    with receiving() as receiver:
        monkeypatch.setenv(OTLP, receiver.endpoint)
        exporter = Exporter({OTLP: receiver.endpoint})
        end = Recorder(exporter).listen()
        yield receiver
        end()
        exporter.close()


def arrived(receiver: Receiver, metric: str, **attributes: str | bool) -> float:
    """Wait for a point with exactly these attributes and the metric's unit; return its value."""
    point = receiver.wait_for(
        lambda: next((one for one in receiver.points if (one.metric, one.attributes) == (metric, attributes)), None)
    )
    assert point.unit == UNITS[metric]
    return point.value


def test_a_copy_in_the_waiting_room_is_counted_with_its_reason(receiver: Receiver) -> None:
    world = World()
    world.records.holding = {FIRST}
    world.pipeline.ingest_message(world.mail.deliver(email()))
    assert arrived(receiver, "ingest.mails.held", reason="sender_unknown") == 1


def test_calls_to_graph_that_are_tried_again_are_counted_by_throttling(receiver: Receiver) -> None:
    one = graph(error(429, "ApplicationThrottled", Retry_After="1"), error(503), Answer(content={}))
    one.client.request("get_message", "GET", "/users/x/messages/A1")
    assert arrived(receiver, "ingest.graph.retries", operation="get_message", throttled=True) == 1
    assert arrived(receiver, "ingest.graph.retries", operation="get_message", throttled=False) == 1


def test_mails_that_no_notification_announced_are_counted(receiver: Receiver, database: Database) -> None:
    now = datetime.now(UTC)
    ages = {"old": timedelta(minutes=4), "young": timedelta()}  # the notification of a young mail may be on its way
    found = [
        ListedMessage(ref=ref(f"{age} {n}", trigger=Trigger.SWEEP), received_at=now - ages[age])
        for age in ages
        for n in range(3)
    ]
    connections = storage.Database(database.app_url)
    try:
        Backlog(connections, retry_seconds=300).enqueue(found[0].ref.mailbox, found, outstanding=0)
    finally:
        connections.close()
    assert arrived(receiver, "ingest.sweep.unannounced") == 3


def test_verdicts_on_malware_are_counted(receiver: Receiver) -> None:
    watch = Watch(scanner=Scanner.DEFENDER, records=scans.FakeRecords(), blobs=scans.FakeContent({}))
    watch.take_event(scans.event("malicious"))
    watch.take_event(scans.event("clean"))
    assert arrived(receiver, "ingest.scan.results", verdict="malicious", scanner="defender") == 1
    assert arrived(receiver, "ingest.scan.results", verdict="clean", scanner="defender") == 1


def test_a_verdict_that_is_not_expected_is_counted(receiver: Receiver) -> None:
    watch = Watch(scanner=Scanner.OFF, records=scans.FakeRecords(), blobs=scans.FakeContent({}))
    watch.take_event(scans.event("malicious"))
    assert arrived(receiver, "ingest.scan.unexpected") == 1


def test_answers_to_senders_are_counted_by_their_outcome(receiver: Receiver) -> None:
    for trouble in (None, AnswerRefused("send_mail: 400")):
        answers.outbox(answers.FakeRecords([answers.due(1)]), answers.FakeTransport(trouble)).send()
    assert arrived(receiver, "ingest.answers", kind="received", outcome="sent") == 1
    assert arrived(receiver, "ingest.answers", kind="received", outcome="refused") == 1
