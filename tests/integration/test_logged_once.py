"""A log line leaves once: by the worker's handler to the host, which exports lines as `telemetryMode` says.

https://learn.microsoft.com/azure/azure-functions/opentelemetry-howto
"""

from __future__ import annotations

import json
import logging
from importlib.util import find_spec
from typing import override

import pytest

from infra.check import INFRA, ROOT, Bicep, deployed_settings, sample_settings
from ingest import log
from ingest.telemetry.export import AZURE, OTLP, Exporter
from ingest.telemetry.recorder import Recorder
from tests.fakes.otlp import receiving

LINE = "a-line-that-leaves-once"


class Worker(logging.Handler):
    """The handler that the Functions worker sets on the root logger."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_telemetry_adds_no_way_out_for_a_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")  # the library's report on itself
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(logging.getLogger("ingest"), "level", logging.INFO)
    ours, root = logging.getLogger("ingest"), logging.getLogger()
    handler = Worker()
    root.addHandler(handler)
    before = list(root.handlers)
    try:
        with receiving() as receiver:
            monkeypatch.setenv(OTLP, receiver.endpoint)
            key = f"InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint={receiver.endpoint}/"
            exporter = Exporter({OTLP: receiver.endpoint, AZURE: key})
            recorder = Recorder(exporter)
            end = recorder.listen()
            with recorder.mail("ingest_message", None):
                log.info("message.done", outcome="Stored", trigger="webhook", cause=LINE)
            end()
            exporter.flush()
            receiver.wait_for(lambda: receiver.spans and receiver.points and receiver.azure)
            sent = bytes(receiver.raw)
    finally:
        root.removeHandler(handler)
    assert [line for line in handler.lines if LINE in line] == [
        f'message.done outcome="Stored" trigger="webhook" cause="{LINE}"'
    ]
    assert LINE.encode() not in sent
    assert (ours.handlers, ours.propagate) == ([], True)
    assert root.handlers == [one for one in before if one is not handler]


def test_the_host_exports_and_the_workers_own_exporter_is_off() -> None:
    assert json.loads((ROOT / "host.json").read_text("utf-8"))["telemetryMode"] == "OpenTelemetry"
    # Settings of the Python worker (azure_functions_runtime.otel): with the first the worker itself exports; with the
    # second the worker imports Azure's distro, which adds a handler for log lines.
    switches = {"PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"}
    deployed = set(deployed_settings(Bicep.read(INFRA / "modules" / "app.bicep")))
    assert switches.isdisjoint(deployed | sample_settings())
    assert find_spec("azure.monitor.opentelemetry.exporter")
    assert "azure-monitor-opentelemetry==" not in (ROOT / "requirements.txt").read_text("utf-8")
