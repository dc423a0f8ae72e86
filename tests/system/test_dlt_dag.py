"""The DAG that loads agents with dlt, run by Airflow: into DuckDB, Parquet files and PostgreSQL."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome, Run

DAG = "cc_agents_with_dlt"
#: Stands for the destination's secrets.
CANARY = "canary-4f1d07c2-never-written"
#: Python runs it at start: what is in a temporary folder is kept before the folder is deleted.
KEEP = """
import os, shutil, tempfile

def cleanup(self, delete=tempfile.TemporaryDirectory.cleanup):
    if os.path.exists(self.name):
        shutil.copytree(self.name, os.environ["KEPT"] + self.name)
    delete(self)

tempfile.TemporaryDirectory.cleanup = cleanup
"""
#: Where dlt writes as root, if nothing stops it.
ROOTS = Path("/var/dlt")
COLUMNS = "account, agent_id, agent_type, softphone_number"


@dataclass
class Pipe:
    """An Airflow that loads with dlt.

    :param airflow: the Airflow
    :param target: the destination's file or folder
    :param kept: what was in dlt's working folder
    :param of_root: what another dlt has written as root
    """

    airflow: AirflowHome
    target: Path
    kept: Path
    of_root: list[Path] = field(default_factory=lambda: sorted(ROOTS.rglob("*")))

    def run(self, destination: str, **params: Any) -> Run:
        return self.airflow.run_dag(DAG, {"destination": destination, "dataset": "contact_center", **params})

    def duckdb(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.target), read_only=True) as connection:
            return connection.execute(sql).fetchall()


MakePipe = Callable[..., Pipe]


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Iterator[AirflowHome]:
    """Give one Airflow for all tests, in whose process temporary folders are kept."""
    folder = tmp_path_factory.mktemp("dlt")
    (folder / "sitecustomize.py").write_text(KEEP)
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    home = AirflowHome(folder / "airflow", {"PYTHONPATH": path})
    home.migrate(template=migrated_database)
    with home.one_process():
        yield home


@pytest.fixture
def make_pipe(airflow: AirflowHome, tmp_path: Path) -> Iterator[MakePipe]:
    """Let Airflow know a contact center and a destination, of which the last argument tells."""
    before = dict(airflow.environment)

    def make(center: Simulator, name: str, connection: Callable[[Path], dict[str, Any]]) -> Pipe:
        target = tmp_path / name
        (tmp_path / "data").mkdir()
        airflow.environment |= {
            **center.environment(),
            "AIRFLOW_CONN_DLT_DESTINATION": json.dumps({"conn_type": "generic", **connection(target)}),
            "DLT_DATA_DIR": str(tmp_path / "data"),
            "KEPT": str(tmp_path / "kept"),
        }
        return Pipe(airflow, target, tmp_path / "kept" / str(tmp_path / "data")[1:])

    yield make
    airflow.environment = before


def truth(center: Simulator) -> list[tuple[Any, ...]]:
    agents = (center.agent(account) for account in center.accounts())
    return sorted(tuple(getattr(agent, name) for name in COLUMNS.split(", ")) for agent in agents)


def assert_nothing_leaks(center: Simulator, pipe: Pipe, run: Run) -> None:
    """No secret is in the log, in dlt's working files, at the destination or in Airflow's home."""
    secrets = [*center.secrets(), CANARY]
    working = [path for path in pipe.kept.rglob("*") if path.is_file()]
    assert {path.name for path in working} >= {"state.json", "trace.pickle"}
    home = [path for path in pipe.airflow.directory.rglob("*") if path.is_file()]
    at_destination = [path for path in (pipe.target, *pipe.target.rglob("*")) if path.is_file()]
    for text in (run.log.encode(), *(path.read_bytes() for path in (*working, *home, *at_destination))):
        assert not [secret for secret in secrets if secret.encode() in text]


def assert_nothing_is_left(pipe: Pipe) -> None:
    """Neither in the folder for dlt's working files, nor where dlt would have them by itself."""
    assert list(Path(pipe.airflow.environment["DLT_DATA_DIR"]).iterdir()) == []
    assert not (pipe.airflow.directory / ".dlt").exists()
    assert sorted(ROOTS.rglob("*")) == pipe.of_root


def test_duckdb_and_a_directory_with_missing_lines(center: Simulator, make_pipe: MakePipe) -> None:
    pipe = make_pipe(center, "agents.duckdb", lambda target: {"extra": {"credentials": str(target)}})

    run = pipe.run("duckdb")

    assert run.state == "success", run.log
    assert run.xcoms["load_agents", -1] == 1000
    rows = pipe.duckdb(f"SELECT {COLUMNS} FROM contact_center.cc_agent")
    assert sorted(rows) == truth(center)
    assert_nothing_leaks(center, pipe, run)
    assert_nothing_is_left(pipe)

    center.settings.directory_order = "by_request"
    run = pipe.run("duckdb")

    assert run.state == "failed"
    assert "entries are missing" in run.log
    assert pipe.duckdb(f"SELECT {COLUMNS} FROM contact_center.cc_agent") == rows
    assert pipe.duckdb("SELECT count(*) FROM contact_center._dlt_loads") == [(1,)]


def test_parquet_files(center: Simulator, make_pipe: MakePipe) -> None:
    """The second run replaces the files of the first."""
    credentials = {
        "aws_access_key_id": "key",
        "aws_secret_access_key": CANARY,
    }  # which a folder does not need
    pipe = make_pipe(
        center,
        "bucket",
        lambda target: {"password": json.dumps(credentials), "extra": {"bucket_url": target.as_uri()}},
    )

    runs = [pipe.run("filesystem", file_format="parquet") for _ in range(2)]

    assert [run.state for run in runs] == ["success"] * 2, "\n".join(run.log for run in runs)
    files = f"{pipe.target}/contact_center/cc_agent/*.parquet"
    assert sorted(duckdb.sql(f"SELECT {COLUMNS} FROM '{files}'").fetchall()) == truth(center)
    assert_nothing_leaks(center, pipe, runs[-1])
    assert_nothing_is_left(pipe)


def test_a_destination_with_a_password(
    center: Simulator, make_pipe: MakePipe, postgres_connection: dict[str, Any]
) -> None:
    """Loaded with it, and refused with it: by a database that is not there."""
    login, host, port = (postgres_connection[part] for part in ("login", "host", "port"))
    url = f"postgresql://{login}:{CANARY}@{host}:{port}"
    pipe = make_pipe(center, "nothing", lambda _: {"password": f"{url}/postgres"})

    run = pipe.run("postgres")

    assert run.state == "success", run.log
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg2:") + "/postgres")
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(f"SELECT {COLUMNS} FROM contact_center.cc_agent").fetchall()
        connection.exec_driver_sql("DROP SCHEMA contact_center CASCADE")
    engine.dispose()
    assert sorted(map(tuple, rows)) == truth(center)
    assert_nothing_leaks(center, pipe, run)

    pipe.airflow.environment["AIRFLOW_CONN_DLT_DESTINATION"] = json.dumps(
        {"conn_type": "generic", "password": f"{url}/nowhere"}
    )
    run = pipe.run("postgres")

    assert run.state == "failed"
    assert 'database "nowhere" does not exist' in run.log
    assert_nothing_leaks(center, pipe, run)
    assert_nothing_is_left(pipe)


def test_a_refused_sign_in_fails_at_once(center: Simulator, make_pipe: MakePipe) -> None:
    """No retry of the task: what dlt wraps, Airflow would try again."""
    pipe = make_pipe(center, "agents.duckdb", lambda target: {"extra": {"credentials": str(target)}})
    connection = json.loads(pipe.airflow.environment["AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"])
    pipe.airflow.environment["AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"] = json.dumps(
        connection | {"password": "not-the-secret"}
    )

    run = pipe.run("duckdb")

    assert run.tasks == {("load_agents", -1): "failed"}
    assert "not-the-secret" not in run.log
    assert not pipe.target.exists()
