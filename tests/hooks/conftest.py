"""A contact center over TLS, Airflow connections to it, and hooks that read them."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.hooks import session, transport
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.simulator import Faults, Settings, Simulator
from tests.hooks.support import Handler, Server
from tests.variables import Variables


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what the caller's environment says of proxies, authorities, passwords and connections."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
            monkeypatch.delenv(name)
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for milliseconds; everything else about retries stays."""
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 0.01)
    monkeypatch.setattr(transport, "LONGEST_BACK_OFF", 0.02)


@pytest.fixture(autouse=True)
def _own_variables(variables: Variables) -> None:
    """Begin without a credential at rest."""


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make an Airflow connection, as an environment variable has it; extras are merged into those given."""

    def connect(conn_id: str, connection: dict[str, Any] | str, **changes: Any) -> None:
        if isinstance(connection, dict):
            extra = {**connection.get("extra", {}), **changes.pop("extra", {})}
            connection = json.dumps({**connection, **changes, "extra": extra})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)

    return connect


@pytest.fixture
def start(certificates: Path, connect: Callable[..., None]) -> Iterator[Callable[..., Simulator]]:
    """Start a contact center over TLS and connect Airflow to it; it ends with the test."""
    with ExitStack() as stack:

        def start(faults: Faults | None = None, **settings: Any) -> Simulator:
            settings = {"agents": 100, "seed": 7, "cert_dir": certificates, **settings}
            cc = stack.enter_context(Simulator(Settings(**settings), faults))
            for conn_id, connection in cc.connections().items():
                connect(conn_id, connection)
            return cc

        yield start


@pytest.fixture
def cc(start: Callable[..., Simulator]) -> Simulator:
    """A contact center of 100 agents."""
    return start()


@pytest.fixture
def reconnect(cc: Simulator, connect: Callable[..., None]) -> Callable[..., None]:
    """Change a connection to the contact center."""

    def reconnect(conn_id: str, **changes: Any) -> None:
        connect(conn_id, cc.connections()[conn_id], **changes)

    return reconnect


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start a server that answers as a function says."""
    with ExitStack() as stack:

        def serve(handle: Handler, tls: tuple[str, str] | None = None) -> Server:
            return stack.enter_context(Server(handle, tls))

        yield serve


@pytest.fixture
def management(cc: Simulator) -> CCManagementHook:
    return CCManagementHook()


@pytest.fixture
def gateway(cc: Simulator) -> CCGatewayHook:
    return CCGatewayHook()


@pytest.fixture
def isales(cc: Simulator) -> CCISalesHook:
    return CCISalesHook()


class Logged:
    """All that was logged so far, down to DEBUG, tracebacks included, and all that was printed.

    From Airflow 3 on, a hook's own logger writes past the handlers of the standard library; before, it
    writes to both.
    """

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog, self._capfd, self._printed = caplog, capfd, ""

    def text(self) -> str:
        self._printed += "".join(self._capfd.readouterr())
        return self._caplog.text + self._printed

    def times(self, words: str) -> int:
        return max(self.text().count(words) - self._printed.count(words), self._printed.count(words))


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Logged:
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests", "aiohttp", "asyncio", "airflow.task", "airflow_provider_cc"):
        caplog.set_level(logging.DEBUG, name)
    return Logged(caplog, capfd)


class Clock:
    """The clock that sessions live by, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def time(self) -> float:
        return time.time()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(session, "time", clock)
    return clock
