"""A StatsD server that remembers what it was sent."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One that has arrived.

    :param value: as it was sent
    :param kind: "c", "g" or "ms"
    :param tags: in InfluxDB's notation
    """

    value: float
    kind: str
    tags: dict[str, str]


class StatsD(contextlib.AbstractContextManager["StatsD"]):
    """Listens on UDP, on any port of this machine."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)

    def __exit__(self, *_: object) -> None:
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
        with contextlib.suppress(BlockingIOError):
            while True:
                name, _, rest = self._socket.recv(65536).decode().partition(":")
                value, kind = rest.split("|")[:2]
                name, *tags = name.split(",")
                if name.startswith("airflow.cc."):
                    metric = Metric(float(value), kind, dict(tag.split("=") for tag in tags))
                    found.setdefault(name.removeprefix("airflow."), []).append(metric)
        return found
