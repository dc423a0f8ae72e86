"""A connection from a secrets backend, set up as the documentation shows it, in a real Airflow."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome
from tests.docs.pages import blocks

DAG = """
import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_cc.operators.management import CCQueryAgentInfoOperator

with DAG("look_up", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    CCQueryAgentInfoOperator(task_id="look_up", account_codes="agent000001")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_airflow_takes_a_connection_from_the_backend_of_the_page(
    center: Simulator, migrated_database: Path, tmp_path: Path
) -> None:
    (file,) = blocks("json")
    (shell,) = (block for block in blocks("bash") if "SECRETS__BACKEND" in block.code)
    settings = dict(word.split("=", 1) for word in shlex.split(shell.code) if "=" in word)
    shown = json.loads(settings["AIRFLOW__SECRETS__BACKEND_KWARGS"])["connections_file_path"]

    # As on the page, but for where the center is and what it accepts.
    connections = json.loads(file.code)
    (conn_id,) = connections
    real = center.connections()[conn_id]
    shared = {"extra": {**connections[conn_id]["extra"], **real.get("extra", {})}}
    connections[conn_id] |= {**real, **shared}
    place = tmp_path / Path(shown).name
    place.write_text(json.dumps(connections))
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "look_up.py").write_text(DAG)
    environment = {name: value.replace(shown, str(place)) for name, value in settings.items()}
    airflow = AirflowHome(tmp_path / "airflow", environment, dags=dags)
    airflow.migrate(template=migrated_database)

    run = airflow.run_dag("look_up")

    assert run.state == "success", run.log
    assert [row["account"] for row in run.xcoms["look_up", -1]] == ["agent000001"]
