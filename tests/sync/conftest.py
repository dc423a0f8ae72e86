"""Contact centers over TLS, and stores in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from tests.sync.support import MemoryStore, Start


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep one set of certificates: making one takes longer than many a test."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture
def start(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start contact centers."""
    running: list[Simulator] = []

    def start_one(agents: int = 250, **settings: Any) -> Simulator:
        settings = {"seed": 7, "cert_dir": certificates, "count_accounts": True, **settings}
        center = Simulator(Settings(agents=agents, **settings)).start()
        running.append(center)
        for name, value in center.environment().items():
            monkeypatch.setenv(name, value)
        return center

    yield start_one
    for center in running:
        center.stop()


@pytest.fixture
def store() -> MemoryStore:
    """Give an empty store."""
    return MemoryStore()
