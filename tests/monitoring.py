"""Servers that monitoring goes to, and that remember what they were sent."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Metric:
    """One that has arrived.

    :param value: as it was sent
    :param kind: "c", "g" or "ms"
    :param tags: by their names
    """

    value: float
    kind: str
    tags: dict[str, str]


class StatsD(contextlib.AbstractContextManager["StatsD"]):
    """Listens on UDP, on any port of this machine."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self._packets: list[str] = []
        self._closed = False
        # What nobody reads at once is lost when the socket's buffer is full: Airflow has much to say.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._closed:
            with contextlib.suppress(TimeoutError):
                self._packets.append(self._socket.recv(65536).decode())

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._reader.join()
        self._socket.close()

    def environment(self) -> dict[str, str]:
        """Return the settings of an Airflow that sends here."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        }

    def received(self) -> dict[str, list[Metric]]:
        """Return what has arrived since the last call, by name; only of this provider."""
        found: dict[str, list[Metric]] = {}
        end = f"end {time.monotonic_ns()}"  # comes after everything that was sent before
        self._socket.sendto(end.encode(), self._socket.getsockname())
        while end not in self._packets:
            time.sleep(0.01)
        for packet in self._packets[: self._packets.index(end)]:
            name, _, rest = packet.partition(":")
            name, *tags = name.split(",")
            if name.startswith("airflow.cc."):
                value, kind = rest.split("|")[:2]
                metric = Metric(float(value), kind, dict(tag.split("=") for tag in tags))
                found.setdefault(name.removeprefix("airflow."), []).append(metric)
        self._packets.clear()
        return found


class Collector(contextlib.AbstractContextManager["Collector"]):
    """Takes what OpenTelemetry sends over HTTP, on any port of this machine."""

    def __init__(self) -> None:
        #: Spans as they arrived, and the values of metrics by their names.
        self.spans: list[Any] = []
        self.metrics: dict[str, list[Any]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """Return the settings of an Airflow whose spans go here, and its metrics unless StatsD is on."""
        host, port = self._server.server_address[:2]
        settings = {"OTEL_ON": "True", "OTEL_HOST": str(host), "OTEL_PORT": str(port)}
        return {
            **{
                f"AIRFLOW__{part}__{name}": it
                for part in ("METRICS", "TRACES")
                for name, it in settings.items()
            },
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host!s}:{port}",  # what later versions read
            "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        }

    def named(self, beginning: str) -> dict[str, Any]:
        """Return the spans whose name begins so, by their name."""
        return {span.name: span for span in self.spans if span.name.startswith(beginning)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector._take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    self.metrics[metric.name] = list(getattr(metric, metric.WhichOneof("data")).data_points)
