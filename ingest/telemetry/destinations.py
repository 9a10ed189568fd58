"""The places that telemetry goes to, by the environment variables that name them."""

from __future__ import annotations

from collections.abc import Mapping

AZURE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
CONSOLE = "OTEL_TRACES_EXPORTER"


def wanted(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names a place for telemetry."""
    return bool(environ.get(AZURE) or environ.get(OTLP) or environ.get(CONSOLE) == "console")
