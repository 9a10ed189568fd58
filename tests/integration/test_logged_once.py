"""A log line leaves once: by the worker's handler to the host, which exports lines as `telemetryMode` says.

https://learn.microsoft.com/azure/azure-functions/opentelemetry-howto
"""

from __future__ import annotations

import json
from importlib.util import find_spec

from infra.check import INFRA, ROOT, Bicep, deployed_settings, sample_settings


def test_the_host_exports_and_the_workers_own_exporter_is_off() -> None:
    assert json.loads((ROOT / "host.json").read_text("utf-8"))["telemetryMode"] == "OpenTelemetry"
    # Settings of the Python worker (azure_functions_runtime.otel): with the first the worker itself exports; with the
    # second the worker imports Azure's distro, which adds a handler for log lines.
    switches = {"PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"}
    deployed = set(deployed_settings(Bicep.read(INFRA / "modules" / "app.bicep")))
    assert switches.isdisjoint(deployed | sample_settings())
    assert find_spec("azure.monitor.opentelemetry.exporter")
    assert "azure-monitor-opentelemetry==" not in (ROOT / "requirements.txt").read_text("utf-8")
