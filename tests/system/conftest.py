"""Warehouses, contact centers and Airflows for tests in which nothing is pretended but the contact center."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import AirflowHome
from tests.system.warehouse import Warehouse


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: it starts Airflow, which takes its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(params=["duckdb", "sqlite", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """Give an empty database of each kind."""
    kind = request.param
    if kind == "postgres":
        connection = request.getfixturevalue("postgres_connection")
        found = Warehouse(
            f"postgresql+psycopg2://{connection['login']}@{connection['host']}:{connection['port']}/postgres",
            connection,
        )
        found.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        return found
    path = tmp_path / f"warehouse.{kind}"
    return Warehouse(f"{kind}:///{path}", {"conn_type": kind, "host": str(path)})


@pytest.fixture
def duckdb_warehouse(tmp_path: Path) -> Warehouse:
    path = tmp_path / "warehouse.duckdb"
    return Warehouse(f"duckdb:///{path}", {"conn_type": "duckdb", "host": str(path)})


@pytest.fixture
def center(certificates: Path) -> Iterator[Simulator]:
    """Give a contact center of 1,000 agents over TLS that remembers what it was asked."""
    with Simulator(Settings(agents=1000, seed=7, tls=True, cert_dir=certificates)) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _example_dags(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Iterator[AirflowHome]:
    home = AirflowHome(tmp_path_factory.mktemp("example_dags") / "airflow", {})
    home.migrate(template=migrated_database)
    with home.one_process():
        yield home


@pytest.fixture
def example_dags(_example_dags: AirflowHome) -> Iterator[Callable[..., AirflowHome]]:
    """Let the Airflow of all example DAGs know a contact center and, if given, a warehouse."""
    before = dict(_example_dags.environment)

    def connect(
        center: Simulator, warehouse: Warehouse | None = None, extra: Mapping[str, str] | None = None
    ) -> AirflowHome:
        _example_dags.environment |= {**center.environment(), **(extra or {})}
        if warehouse is not None:
            _example_dags.environment["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(warehouse.connection)
        return _example_dags

    yield connect
    _example_dags.environment = before


@pytest.fixture
def airflow_home(tmp_path: Path, migrated_database: Path) -> Callable[..., AirflowHome]:
    """Make Airflows that know a contact center and, if given, a warehouse under the id ``warehouse``."""

    def make(
        center: Simulator, warehouse: Warehouse | None = None, extra: Mapping[str, str] | None = None
    ) -> AirflowHome:
        environment = {**center.environment(), **(extra or {})}
        if warehouse is not None:
            environment["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(warehouse.connection)
        home = AirflowHome(tmp_path / "airflow", environment)
        home.migrate(template=migrated_database)
        return home

    return make
