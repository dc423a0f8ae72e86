"""Contact centers over TLS, databases of each kind, and stores in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from tests.sync.support import MemoryStore, Start
from tests.transfers.conftest import (  # noqa: F401 - fixtures
    latin1_database,
    make_database,
    mariadb_database,
    postgres_database,
    snowflake_database,
    snowflake_log,
    sqlite_database,
)
from tests.transfers.database import ONLY, Database, warehouses

#: Needs an environment of its own.
collect_ignore = [] if ONLY == "snowflake" else ["test_snowflake.py"]


@pytest.fixture(params=warehouses("sqlite", "duckdb", "postgres", "mariadb", "latin1"))
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Give an empty database of each kind."""
    return make_database(request, tmp_path)


@pytest.fixture
def warehouse(database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tell Airflow of an empty database of each kind; return the connection's id."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(dict(database.connection)))
    return "warehouse"


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
