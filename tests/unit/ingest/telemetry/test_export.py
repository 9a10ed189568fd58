"""When telemetry is on, and that it never holds anything up."""

import pytest

from ingest.telemetry import process
from ingest.telemetry.destinations import wanted
from ingest.telemetry.export import BUFFER, Exporter
from ingest.telemetry.recorder import Measurement
from tests.fakes.values import ref

ONE = Measurement(metric="ingest.mails", value=1, attributes={"outcome": "Stored"})


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"APPLICATIONINSIGHTS_CONNECTION_STRING": "", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=…"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_telemetry_is_on_where_the_environment_names_a_place(environ: dict[str, str], on: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert wanted(environ) is on


def test_without_telemetry_nothing_is_added_to_a_message() -> None:
    process.start({})
    assert not process.is_on()
    assert process.announced(ref(), "notification", process.now()) is not None
    assert process.announced(ref(), "notification", process.now()).announced is None
    with process.mail("ingest_message", ref()):
        pass


def test_a_full_buffer_drops_records_and_blocks_no_caller() -> None:
    exporter = Exporter({"APPLICATIONINSIGHTS_CONNECTION_STRING": "no connection string at all"})
    for _ in range(BUFFER + 1):
        exporter(ONE)
    exporter.close()
