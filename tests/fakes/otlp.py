"""An OTLP receiver in this process: keeps what an exporter sends over HTTP, decoded from protobuf.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

type Attributes = dict[str, str | bool | int | float]


@dataclass(frozen=True, kw_only=True)
class ReceivedSpan:
    """One span as it was received."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    started: int
    ended: int
    failed: bool
    attributes: Attributes


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a metric: of a counter the sum since the exporter's start, of a histogram the sum of its values."""

    metric: str
    unit: str
    value: float
    attributes: Attributes
    at: int


@dataclass
class Receiver:
    """The requests that have come in so far."""

    endpoint: str
    spans: list[ReceivedSpan] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    azure: list[dict[str, Any]] = field(default_factory=list)  # items of Azure Monitor's own protocol
    _news: threading.Condition = field(default_factory=threading.Condition)

    def wait_for[T](self, condition: Callable[[], T | None], *, timeout: float = 120.0) -> T:
        """Return what `condition` returns once it is true, looked at whenever something has come in."""
        deadline = time.monotonic() + timeout
        with self._news:
            while not (found := condition()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"received {len(self.spans)} spans and {len(self.points)} points")
                self._news.wait(left)
            return found

    def values(self, metric: str, **attributes: str) -> list[float]:
        """Return every value of a metric with these attributes, in their order."""
        return [
            point.value
            for point in self.points
            if point.metric == metric and attributes.items() <= point.attributes.items()
        ]

    def take(self, path: str, body: bytes) -> None:
        """Decode one request."""
        with self._news:
            self.raw += body
            if path == "/v1/traces":
                self.spans += _spans(ExportTraceServiceRequest.FromString(body))
            elif path == "/v1/metrics":
                self.points += _points(ExportMetricsServiceRequest.FromString(body))
            elif path == "/v2.1/track":
                self.azure += json.loads(body)
            self._news.notify_all()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.take(self.path, body)
            answer = b'{"itemsReceived":1,"itemsAccepted":1,"errors":[]}'  # for Azure; OTLP looks at the status alone
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        @override
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _spans(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    started=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    attributes=_attributes(span.attributes),
                )


def _points(request: ExportMetricsServiceRequest) -> Iterator[Point]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in (*metric.sum.data_points, *metric.gauge.data_points):
                    value = point.as_double if point.HasField("as_double") else float(point.as_int)
                    yield Point(
                        metric=metric.name,
                        unit=metric.unit,
                        value=value,
                        attributes=_attributes(point.attributes),
                        at=point.time_unix_nano,
                    )
                for one in metric.histogram.data_points:
                    yield Point(
                        metric=metric.name,
                        unit=metric.unit,
                        value=one.sum,
                        attributes=_attributes(one.attributes),
                        at=one.time_unix_nano,
                    )


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    found: Attributes = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind is not None:
            found[pair.key] = getattr(pair.value, kind)
    return found
