"""Records on their way out: the only importer of OpenTelemetry's SDK, in a thread behind the app.

A record that finds the buffer full is dropped and counted: telemetry never holds a mail up.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ingest import log
from ingest.telemetry.metrics import METRICS
from ingest.telemetry.recorder import Measurement, Record, Span

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

AZURE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
CONSOLE = "OTEL_TRACES_EXPORTER"
BUFFER = 20_000  # records: some minutes of a busy instance while the SDK is imported
FLUSH_SECONDS = 5.0
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_SCOPE = "mail-ingest"
# What a span is to a backend: Azure shows consumers as requests and clients as dependencies.
_CONSUMERS = frozenset({"ingest_message"})
_PRODUCERS = frozenset({"notification", "sweep", "queue"})


def wanted(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names a place for telemetry."""
    return bool(environ.get(AZURE) or environ.get(OTLP) or environ.get(CONSOLE) == "console")


class Exporter:
    """The sink of a Recorder. The first record starts the thread, which imports the SDK."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._records: queue.Queue[Record | threading.Event] = queue.Queue(maxsize=BUFFER)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._dropped = 0

    def __call__(self, record: Record) -> None:
        """Take a record. Never blocks and never raises."""
        self._start()
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Send what is there, for at most FLUSH_SECONDS. For the end of the process."""
        if self._thread is None:
            return
        done = threading.Event()
        self._records.put(done)
        done.wait(FLUSH_SECONDS)

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        try:
            send, flush = _pipeline(self._environ)
        except Exception as error:  # noqa: BLE001 - a mail entrance without telemetry is still a mail entrance
            log.error("telemetry.failed", frames=log.frames(error))
            send, flush = _ignore, _nothing
        while True:
            record = self._records.get()
            if isinstance(record, threading.Event):
                flush()
                record.set()
                continue
            send(record)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                log.warning("telemetry.dropped", records=dropped)


def _pipeline(environ: Mapping[str, str]) -> tuple[Callable[[Record], None], Callable[[], None]]:
    """Build the SDK's part. Returns what sends a record, and what sends everything that waits."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or _SCOPE})
    span_exporters, metric_exporters = _exporters(environ)
    processors = [BatchSpanProcessor(exporter) for exporter in span_exporters]
    provider = MeterProvider(
        metric_readers=[PeriodicExportingMetricReader(exporter) for exporter in metric_exporters],
        resource=resource,
        views=[
            View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(_SECONDS))
            for name in sorted({metric.name for metric in METRICS if metric.kind == "histogram"})
        ],
        shutdown_on_exit=False,  # `flush` is registered for that, and knows of the buffer
    )
    meter = provider.get_meter(_SCOPE)
    scope = InstrumentationScope(_SCOPE)
    record_value: dict[str, Callable[..., None]] = {}
    for metric in METRICS:
        if metric.name not in record_value:
            match metric.kind:
                case "counter":
                    record_value[metric.name] = meter.create_counter(metric.name, metric.unit, metric.says).add
                case "gauge":
                    record_value[metric.name] = meter.create_gauge(metric.name, metric.unit, metric.says).set
                case "histogram":
                    record_value[metric.name] = meter.create_histogram(metric.name, metric.unit, metric.says).record

    def context(trace_id: int, span_id: int) -> SpanContext:
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def kind(name: str) -> SpanKind:
        if name in _CONSUMERS:
            return SpanKind.CONSUMER
        return SpanKind.PRODUCER if name in _PRODUCERS else SpanKind.CLIENT

    def send(record: Record) -> None:
        if isinstance(record, Measurement):
            record_value[record.metric](record.value, dict(record.attributes))
            return
        span = ReadableSpan(
            record.name,
            context=context(record.trace_id, record.span_id),
            parent=None if record.parent_id is None else context(record.trace_id, record.parent_id),
            resource=resource,
            attributes=dict(record.attributes),
            kind=kind(record.name),
            status=Status(StatusCode.ERROR if record.failed else StatusCode.UNSET),
            start_time=record.started,
            end_time=record.ended,
            instrumentation_scope=scope,
        )
        for processor in processors:
            processor.on_end(span)

    def flush() -> None:
        for processor in processors:
            processor.force_flush(int(FLUSH_SECONDS * 1000))
        provider.force_flush(int(FLUSH_SECONDS * 1000))

    return send, flush


def _exporters(environ: Mapping[str, str]) -> tuple[list[SpanExporter], list[MetricExporter]]:
    """Build the exporters that the environment asks for. Each reads its own settings from the environment."""
    spans: list[SpanExporter] = []
    metrics: list[MetricExporter] = []
    if environ.get(AZURE):
        from azure.identity import DefaultAzureCredential
        from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter

        # A component that refuses its key takes the app's identity (infra/modules/monitoring.bicep).
        options = {"connection_string": environ[AZURE], "credential": DefaultAzureCredential()}
        spans.append(AzureMonitorTraceExporter(**options))
        metrics.append(AzureMonitorMetricExporter(**options))
    if environ.get(OTLP):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        spans.append(OTLPSpanExporter())
        metrics.append(OTLPMetricExporter())
    if environ.get(CONSOLE) == "console":
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        spans.append(ConsoleSpanExporter())
        metrics.append(ConsoleMetricExporter())
    return spans, metrics


def _ignore(record: Record) -> None:
    del record


def _nothing(records: Iterable[Span] = ()) -> None:
    del records
