"""Real databases, a contact center over TLS, and the operator between them; nothing is mocked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from tests import example_dialect
from tests.transfers.database import Database, empty_mariadb, empty_postgres, new_snowflake, warehouses

#: Runs one sync of its own and returns the counts.
Sync = Callable[..., dict[str, Any]]
MakeCenter = Callable[..., Simulator]


@pytest.fixture
def postgres_database(postgres_connection: dict[str, Any]) -> Database:
    """Give an empty PostgreSQL database."""
    return empty_postgres(postgres_connection)


@pytest.fixture
def mariadb_database(mariadb_connection: dict[str, Any]) -> Database:
    """Give an empty MariaDB database."""
    return empty_mariadb(mariadb_connection)


@pytest.fixture
def latin1_database(mariadb_connection: dict[str, Any]) -> Database:
    """Give an empty MariaDB database in Latin 1, on a server with other settings than the sync wants."""
    return empty_mariadb(mariadb_connection, "latin1")


@pytest.fixture
def snowflake_log(snowflake_server: dict[str, Any]) -> Path:
    """Give the log of the server, which has a line for each password that it was sent."""
    return Path(snowflake_server["log"])


@pytest.fixture
def snowflake_database(snowflake_server: dict[str, Any]) -> Database:
    """Give an empty Snowflake database."""
    return new_snowflake(snowflake_server["connection"])


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Database:
    """Give an empty SQLite file."""
    return _file_database("sqlite", tmp_path)


@pytest.fixture(params=warehouses("sqlite"))
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Give an empty database: the one that takes least time, unless a test asks for each kind."""
    return make_database(request, tmp_path)


def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Return an empty database of the kind that the fixture's parameter names."""
    if request.param in ("sqlite", "duckdb", "turso"):
        return _file_database(request.param, tmp_path)
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


def _file_database(kind: str, folder: Path) -> Database:
    path = folder / f"warehouse.{kind}"
    dialect = example_dialect.sqlalchemy_name() if kind == "turso" else kind
    return Database(f"{dialect}:///{path}", {"conn_type": kind, "host": str(path)})


@pytest.fixture
def make_center(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeCenter]:
    """Start contact centers over TLS and tell Airflow of the latest one."""
    running: list[Simulator] = []

    def make(agents: int, **settings: Any) -> Simulator:
        settings = {"seed": 7, "tls": True, "cert_dir": certificates, "count_accounts": True, **settings}
        center = Simulator(Settings(agents=agents, **settings)).start()
        running.append(center)
        for name, value in center.environment().items():
            monkeypatch.setenv(name, value)
        return center

    yield make
    for center in running:
        center.stop()


@pytest.fixture
def center(make_center: MakeCenter) -> Simulator:
    """Give a contact center of twelve agents."""
    return make_center(12)


def _syncs(database: Database, monkeypatch: pytest.MonkeyPatch) -> Sync:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(dict(database.connection)))
    number = iter(range(1, 1_000_000))

    def sync(
        operator: type[CCAgentsToSqlOperator] = CCAgentsToSqlOperator,
        task_id: str = "sync",
        run_id: str | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        task = SimpleNamespace(run_id=run_id or f"run_{next(number)}", map_index=-1)
        return operator(task_id=task_id, sql_conn_id="warehouse", **arguments).execute({"ti": task})

    return sync


@pytest.fixture
def sync(database: Database, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Sync into the database of each kind, each time in a DAG run of its own."""
    return _syncs(database, monkeypatch)


@pytest.fixture
def sqlite_sync(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Sync into SQLite, for what does not depend on the database."""
    return _syncs(sqlite_database, monkeypatch)


@pytest.fixture
def postgres_sync(postgres_database: Database, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Sync into PostgreSQL, for what only it can show."""
    return _syncs(postgres_database, monkeypatch)


class Log:
    """Everything that is said: Airflow 3 logs past the standard library, Airflow 2 through it."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog = caplog
        self._capfd = capfd
        self._printed = ""

    @property
    def text(self) -> str:
        self._printed += "".join(self._capfd.readouterr())
        return self._caplog.text + self._printed

    @property
    def messages(self) -> list[str]:
        """What the sync's own loggers said."""
        return [
            record.getMessage()
            for record in self._caplog.records
            if record.name.startswith(("airflow_provider_cc.sync", "airflow_provider_cc.transfers"))
        ]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Log:
    """Hear everything that is logged."""
    caplog.set_level(logging.DEBUG)
    return Log(caplog, capfd)
