"""The contact centers, databases and servers of the tests of hooks and transfers."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.hooks.conftest import (  # noqa: F401 - fixtures
    _own_environment,
    _own_variables,
    _short_waits,
    clock,
    connect,
    logged,
    serve,
    start,
)
from tests.transfers.conftest import make_center, sqlite_database, sqlite_sync  # noqa: F401 - fixtures
from tests.transfers.meddling import at_chunk


class WallClock:
    """The wall clock of this process, which a test can set; the monotonic one goes on."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._time = time.time

    def time(self) -> float:
        return self._time() + self.ahead


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    wall = WallClock()
    monkeypatch.setattr(time, "time", wall.time)
    return wall


@pytest.fixture
def do_at_chunk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Have something happen right before a chunk is written."""
    return lambda number, action: at_chunk(monkeypatch, number, action)
