"""OpenTelemetry's SDK: the only importer. Records become spans and values of instruments, and are exported.

https://opentelemetry.io/docs/languages/python/, https://learn.microsoft.com/azure/azure-monitor/app/opentelemetry
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from azure.identity import DefaultAzureCredential
from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, set_tracer_provider
from opentelemetry.trace.status import Status, StatusCode

from ingest.telemetry.destinations import AZURE, CONSOLE, OTLP
from ingest.telemetry.metrics import METRICS, Metric
from ingest.telemetry.recorder import Measurement, Record, Span

_NAME = "mail-ingest"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)  # of histograms
# Azure shows consumers as requests, and clients and producers as dependencies.
_KINDS = {
    "ingest_message": SpanKind.CONSUMER,
    "notification": SpanKind.PRODUCER,
    "sweep": SpanKind.PRODUCER,
    "queue": SpanKind.PRODUCER,
}


class Sdk:
    """The exporters that the environment asks for. Each reads the rest of its settings from the environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or _NAME})
        self._scope = InstrumentationScope(_NAME)
        # Azure's exporter asks the global provider for the resource, and nothing else uses the provider.
        set_tracer_provider(TracerProvider(resource=self._resource, shutdown_on_exit=False))
        span_exporters, metric_exporters = _exporters(environ)
        self._processors = [BatchSpanProcessor(exporter) for exporter in span_exporters]
        self._metrics = MeterProvider(
            metric_readers=[PeriodicExportingMetricReader(exporter) for exporter in metric_exporters],
            resource=self._resource,
            views=[
                View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(_SECONDS))
                for name in sorted({metric.name for metric in METRICS if metric.kind == "histogram"})
            ],
            shutdown_on_exit=False,  # the exporter's thread flushes; it knows what is still on its way
        )
        meter = self._metrics.get_meter(_NAME)
        self._record = {name: _instrument(meter, metric) for name, metric in {one.name: one for one in METRICS}.items()}

    def send(self, record: Record) -> None:
        """Hand a record to the exporters, which send in batches."""
        if isinstance(record, Measurement):
            self._record[record.metric](record.value, dict(record.attributes))
            return
        span = self._span(record)
        for processor in self._processors:
            processor.on_end(span)

    def close(self, seconds: float) -> None:
        """Send what waits, for at most so long each, and stop the exporters' threads."""
        for processor in self._processors:
            processor.force_flush(int(seconds * 1000))
        self._metrics.force_flush(int(seconds * 1000))
        for processor in self._processors:
            processor.shutdown()  # type: ignore[no-untyped-call]  # the SDK has no types here
        self._metrics.shutdown(int(seconds * 1000))

    def _span(self, record: Span) -> ReadableSpan:
        return ReadableSpan(
            record.name,
            context=_context(record.trace_id, record.span_id),
            parent=None if record.parent_id is None else _context(record.trace_id, record.parent_id),
            resource=self._resource,
            attributes=dict(record.attributes),
            kind=_KINDS.get(record.name, SpanKind.CLIENT),
            status=Status(StatusCode.ERROR if record.failed else StatusCode.UNSET),
            start_time=record.started,
            end_time=record.ended,
            instrumentation_scope=self._scope,
        )


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _instrument(meter: Meter, metric: Metric) -> Callable[[float, Mapping[str, str | bool | int | float]], None]:
    match metric.kind:
        case "counter":
            return meter.create_counter(metric.name, metric.unit, metric.says).add
        case "gauge":
            return meter.create_gauge(metric.name, metric.unit, metric.says).set
        case "histogram":
            return meter.create_histogram(metric.name, metric.unit, metric.says).record


def _exporters(environ: Mapping[str, str]) -> tuple[list[SpanExporter], list[MetricExporter]]:
    spans: list[SpanExporter] = []
    metrics: list[MetricExporter] = []
    if environ.get(AZURE):
        # infra/ sets it: the component refuses its key and takes the app's identity.
        by_identity = bool(environ.get("APPLICATIONINSIGHTS_AUTHENTICATION_STRING"))
        options = {
            "connection_string": environ[AZURE],
            "credential": DefaultAzureCredential() if by_identity else None,
        }
        spans.append(AzureMonitorTraceExporter(**options))
        metrics.append(AzureMonitorMetricExporter(**options))
    if environ.get(OTLP):
        spans.append(OTLPSpanExporter())
        metrics.append(OTLPMetricExporter())
    if environ.get(CONSOLE) == "console":
        spans.append(ConsoleSpanExporter())
        metrics.append(ConsoleMetricExporter())
    return spans, metrics
