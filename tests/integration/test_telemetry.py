"""One mail through the running system is one trace, and every metric arrives with its unit and nothing secret."""

import re
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from ingest.telemetry.export import Exporter
from ingest.telemetry.metrics import METRICS
from ingest.telemetry.recorder import Measurement, Recorder
from local.stack import TIMERS_OFF, Stack
from local.tenants import LocalTenant, upload_address
from tests.fakes.otlp import ReceivedSpan, Receiver, receiving

SUBJECT = "a subject that no telemetry shows"
SENDER = "sender-that-no-telemetry-shows@example.org"
FILE = "file-that-no-telemetry-shows.pdf"
# What needs a fault to be measured, or a setting that this stack does not have: test_rare_metrics.py, test_alerts.py.
NOT_IN_A_GOOD_DAY = {
    "ingest.graph.retries",
    "ingest.answers",
    "ingest.mails.held",
    "ingest.mails.quarantined",
    "ingest.scan.results",
    "ingest.scan.unexpected",
    "ingest.sweep.unannounced",
    "ingest.credential.remaining",
    "ingest.doctor.failed",
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def traced(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with Stack(Path(tmp_path_factory.mktemp("traced")), settings=TIMERS_OFF | settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def tenant(traced: Stack) -> LocalTenant:
    return traced.add_tenant("Tischlerei Südhang")


@pytest.fixture(scope="module")
def trace(traced: Stack, tenant: LocalTenant, receiver: Receiver) -> list[ReceivedSpan]:
    """The spans of one mail, which has been through."""
    assert traced.simulator is not None
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = SENDER, upload_address(tenant.token), SUBJECT
    mail.set_content("Anbei.\n")
    mail.add_attachment(b"%PDF-1.7\n" + bytes(1000), maintype="application", subtype="pdf", filename=FILE)
    with smtplib.SMTP(traced.simulator.smtp_host, traced.simulator.smtp_port, timeout=60) as smtp:
        smtp.sendmail(SENDER, [upload_address(tenant.token)], mail.as_bytes())
    root = receiver.wait_for(lambda: next((one for one in receiver.spans if one.name == "ingest_message"), None))

    def whole() -> list[ReceivedSpan] | None:
        spans = [one for one in receiver.spans if one.trace_id == root.trace_id]
        return spans if {"notification", "queue", "sql.end"} <= {one.name for one in spans} else None

    return receiver.wait_for(whole)


def test_one_mail_is_one_trace(trace: list[ReceivedSpan], receiver: Receiver) -> None:
    ids = {span.span_id for span in trace}
    roots = [span for span in trace if not span.parent_id]
    assert [span.name for span in roots] == ["notification"]
    assert all(span.parent_id in ids for span in trace if span.parent_id)
    by_name = {span.name: span for span in trace}
    assert by_name["queue"].parent_id == by_name["ingest_message"].parent_id == roots[0].span_id
    assert sum(span.name == "notification" for span in receiver.spans) == 1
    assert not any(span.failed for span in trace)


def test_a_trace_goes_through_every_system(trace: list[ReceivedSpan]) -> None:
    assert {span.name.partition(".")[0] for span in trace} == {
        "notification",
        "queue",
        "ingest_message",
        "sql",
        "graph",
        "blob",
    }
    ingest = next(span for span in trace if span.name == "ingest_message")
    for span in trace:
        assert span.started <= span.ended
        if span.name.startswith(("sql.", "graph.", "blob.")):
            assert ingest.started <= span.started <= span.ended <= ingest.ended


def test_the_span_of_a_mail_says_how_it_ended(trace: list[ReceivedSpan], tenant: LocalTenant) -> None:
    ingest = next(span for span in trace if span.name == "ingest_message")
    assert 0 <= float(ingest.attributes["age_seconds"]) < 3600
    assert ingest.attributes == {
        "outcome": "Stored",
        "trigger": "webhook",
        "attempts": 1,
        "tenants": tenant.id,
        "age_seconds": ingest.attributes["age_seconds"],
    }


@pytest.mark.usefixtures("trace")
def test_every_metric_arrives_with_its_unit(traced: Stack, receiver: Receiver) -> None:
    traced.maintain()
    expected = {metric.name: metric.unit for metric in METRICS if metric.name not in NOT_IN_A_GOOD_DAY}
    receiver.wait_for(lambda: expected.keys() <= {point.metric for point in receiver.points})
    assert {point.metric: point.unit for point in receiver.points if point.metric in expected} == expected
    assert receiver.values("ingest.mails", outcome="Stored", trigger="webhook")[-1] == 1
    receiver.wait_for(lambda: _unfinished(traced, receiver) == (0, 0))
    assert receiver.values("ingest.bytes")[-1] > 1000


@pytest.mark.usefixtures("trace")
def test_nothing_secret_leaves(traced: Stack, tenant: LocalTenant, receiver: Receiver) -> None:
    sent = bytes(receiver.raw)
    for secret in (tenant.token, SUBJECT, SENDER, FILE, traced.identity.client_secret, *traced.identity.mailboxes):
        assert secret.encode() not in sent
    assert not re.search(rb"[A-Za-z0-9._-]+@[A-Za-z0-9-]+\.[A-Za-z]", sent)


def test_azure_monitor_gets_the_names_that_the_alerts_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")  # the library's report on itself
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    connection = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint="
    with receiving() as receiver:
        exporter = Exporter({"APPLICATIONINSIGHTS_CONNECTION_STRING": f"{connection}{receiver.endpoint}/"})
        recorder = Recorder(exporter)
        with recorder.mail("ingest_message", None):
            exporter(Measurement(metric="ingest.mails", value=2, attributes={"outcome": "Stored"}))
        exporter.close()
        by_type = receiver.wait_for(lambda: _by_type(receiver, "RequestData", "MetricData"))
    assert by_type["RequestData"]["name"] == "ingest_message"
    (metric,) = by_type["MetricData"]["metrics"]
    assert (metric["name"], metric["value"], by_type["MetricData"]["properties"]) == (
        "ingest.mails",
        2,
        {"outcome": "Stored"},
    )


def _by_type(receiver: Receiver, *types: str) -> dict[str, dict[str, Any]] | None:
    """Return the items of Azure Monitor without the library's own, by type; None until each of the types has come."""
    items = [item["data"] for item in receiver.azure if "_OTEL" not in str(item)]
    found = {item["baseType"]: item["baseData"] for item in items}
    return found if found.keys() >= set(types) else None


def _unfinished(traced: Stack, receiver: Receiver) -> tuple[float | None, float | None]:
    """Return the newest age and queue length on record; the timer measures anew for the next look."""
    traced.maintain()
    ages = receiver.values("ingest.mails.oldest_age")
    lengths = receiver.values("ingest.queue.length", queue="ingest-messages")
    return ages[-1] if ages else None, lengths[-1] if lengths else None
