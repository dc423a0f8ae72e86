"""DAGs and a secrets backend, set up as the documentation shows them, in a real Airflow."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome
from tests.docs.pages import blocks, dag_bag
from tests.transfers.database import Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOOK_UP = """
import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_cc.operators.management import CCQueryAgentInfoOperator

with DAG("look_up", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    CCQueryAgentInfoOperator(task_id="look_up", account_codes="agent000001")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a DAG file for each block, and the file of the secrets backend, still empty."""
    folder = tmp_path_factory.mktemp("documentation")
    (folder / "dags").mkdir()
    (folder / "dags" / "look_up.py").write_text(LOOK_UP)
    for number, block in enumerate(blocks("python", "airflow")):
        (folder / "dags" / f"snippet_{number:02}.py").write_text(block.code)
    (folder / "connections.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def airflow(folder: Path, migrated_database: Path) -> Iterator[AirflowHome]:
    """Give an Airflow with the secrets backend of the page; only where its file is differs."""
    (shell,) = (block for block in blocks("bash") if "SECRETS__BACKEND" in block.code)
    settings = dict(word.split("=", 1) for word in shlex.split(shell.code) if "=" in word)
    shown = json.loads(settings["AIRFLOW__SECRETS__BACKEND_KWARGS"])["connections_file_path"]
    own = str(folder / "connections.json")
    environment = {name: value.replace(shown, own) for name, value in settings.items()}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    airflow = AirflowHome(folder / "airflow", environment, dags=folder / "dags")
    airflow.migrate(template=migrated_database)
    with airflow.one_process():
        yield airflow


def test_blocks_are_dags_that_airflow_runs(
    airflow: AirflowHome, folder: Path, center: Simulator, sqlite_database: Database
) -> None:
    warehouse = {"AIRFLOW_CONN_WAREHOUSE": json.dumps(dict(sqlite_database.connection))}
    files = sorted((folder / "dags").glob("snippet_*.py"))

    for dag_id in (dag_id for file in files for dag_id in dag_bag(file).dags):
        with mock.patch.dict(airflow.environment, {**center.environment(), **warehouse}):
            run = airflow.run_dag(dag_id)

        assert run.state == "success", run.log
        (counts,) = (run.xcoms[key] for key in run.xcoms if key[0] in ("sync_agents", "sync_agents.apply"))
        assert counts["synced"] >= 3
    assert sqlite_database.query("SELECT COUNT(*) FROM cc_agent") == [(40,)]
    assert sqlite_database.query("SELECT COUNT(*) FROM cc_agent_history") == [(40,)]


def test_airflow_takes_a_connection_from_the_backend_of_the_page(
    airflow: AirflowHome, folder: Path, center: Simulator
) -> None:
    (file,) = blocks("json")
    # As on the page, but for where the center is and what it accepts.
    connections = json.loads(file.code)
    (conn_id,) = connections
    real = center.connections()[conn_id]
    shared = {"extra": {**connections[conn_id]["extra"], **real.get("extra", {})}}
    connections[conn_id] |= {**real, **shared}
    (folder / "connections.json").write_text(json.dumps(connections))

    run = airflow.run_dag("look_up")

    (folder / "connections.json").write_text("{}")  # the other test's connections are in its environment
    assert run.state == "success", run.log
    assert [row["account"] for row in run.xcoms["look_up", -1]] == ["agent000001"]
