"""A log line leaves once: by the worker's handler to the host, which exports lines as `telemetryMode` says.

https://learn.microsoft.com/azure/azure-functions/opentelemetry-howto
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

from infra.check import INFRA, ROOT, Bicep, deployed_settings, sample_settings
from ingest.telemetry.destinations import AZURE, OTLP
from tests.fakes.otlp import receiving

LINE = "a-line-that-leaves-once"
# In a process of its own: the SDK keeps global providers, and its exporters go on after the record. The handler stands
# for the one that the Functions worker sets on the root logger.
PROCESS = f"""
import json, logging, os
from ingest import log
from ingest.telemetry import export
from ingest.telemetry.recorder import Recorder

class Worker(logging.Handler):
    lines = []
    def emit(self, record):
        self.lines.append(record.getMessage())

logging.getLogger("ingest").setLevel(logging.INFO)
root = logging.getLogger()
root.addHandler(Worker())
export.FLUSH_SECONDS = 60.0  # a slow machine imports the SDK for longer than a process may take to end
exporter = export.Exporter(os.environ)
recorder = Recorder(exporter)
end = recorder.listen()
with recorder.mail("ingest_message", None):
    log.info("message.done", outcome="Stored", trigger="webhook", cause="{LINE}")
end()
exporter.close()
print(json.dumps({{
    "lines": [line for line in Worker.lines if "{LINE}" in line],
    "handlers": [type(one).__name__ for one in root.handlers],
    "ours": [len(logging.getLogger("ingest").handlers), logging.getLogger("ingest").propagate],
}}))
"""


def test_telemetry_adds_no_way_out_for_a_log_line() -> None:
    with receiving() as receiver:
        environment = os.environ | {
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",  # the library's report on itself
            "NO_PROXY": "127.0.0.1",
            OTLP: receiver.endpoint,
            AZURE: f"InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint={receiver.endpoint}/",
        }
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own line
            [sys.executable, "-c", PROCESS], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        receiver.wait_for(lambda: receiver.spans and receiver.points and receiver.azure)
        sent = bytes(receiver.raw)
    assert json.loads(done.stdout) == {
        "lines": [f'message.done outcome="Stored" trigger="webhook" cause="{LINE}"'],
        "handlers": ["Worker"],
        "ours": [0, True],
    }
    assert LINE.encode() not in sent


def test_the_host_exports_and_the_workers_own_exporter_is_off() -> None:
    assert json.loads((ROOT / "host.json").read_text("utf-8"))["telemetryMode"] == "OpenTelemetry"
    # Settings of the Python worker (azure_functions_runtime.otel): with the first the worker itself exports; with the
    # second the worker imports Azure's distro, which adds a handler for log lines.
    switches = {"PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"}
    deployed = set(deployed_settings(Bicep.read(INFRA / "modules" / "app.bicep")))
    assert switches.isdisjoint(deployed | sample_settings())
    assert find_spec("azure.monitor.opentelemetry.exporter")
    assert "azure-monitor-opentelemetry==" not in (ROOT / "requirements.txt").read_text("utf-8")
