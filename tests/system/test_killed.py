"""A task that Airflow kills leaves no agent signed in."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import CHECKOUT, AirflowHome

DAG = """
import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.operators.gateway import CCQueryLoginInfoOperator

with DAG("check", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    CCQueryLoginInfoOperator(task_id="ask", agent_conn_id="cc_agent_default")
"""


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - begun


def test_the_agent_is_signed_out_when_the_task_is_killed(
    centre: Simulator, tmp_path: Path, airflow_home: Callable[..., AirflowHome]
) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "check.py").write_text(DAG)
    airflow = airflow_home(
        centre,
        extra={"AIRFLOW__CORE__DAGS_FOLDER": str(dags), "PYTHONPATH": str(CHECKOUT)},
    )
    centre.faults.latency, centre.faults.only = 25.0, {"logininfo"}  # the task waits for this

    with airflow.standalone():
        airflow.unpause("check")
        airflow.trigger("check", "by_hand")
        wait_until(lambda: centre.stats.requests("agentevent") > 0, 120, "the agent is signed in")
        time.sleep(1)  # in the middle of logininfo
        assert centre.signed_in_agents() != []
        with closing(sqlite3.connect(airflow.database, timeout=60)) as connection, connection:
            # As when someone marks it failed in the UI: the task's process learns of it by its heartbeat.
            connection.execute("UPDATE task_instance SET state = 'failed' WHERE dag_id = 'check'")
        waited = wait_until(lambda: centre.signed_in_agents() == [], 20, "the agent is signed out")
        assert centre.stats.requests("logout") == 1

    assert waited < 20  # the heartbeat, and less than 3 s
    assert centre.stats.time_outs == 0
