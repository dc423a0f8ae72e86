"""Wrong credentials in a real Airflow: each is sent once, by whatever runs, retries, maps or waits."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import CHECKOUT, AirflowHome

WRONG = "wrong-canary-ibis-90e7"

DAGS = """
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.operators.gateway import CCConfigLoginOperator
from airflow_provider_cc.operators.management import CCQueryAgentInfoOperator
from airflow_provider_cc.sensors.management import CCAgentSensor

RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=1)}


def hourly(dag_id, last_hour):
    # It catches up with its runs, one after the other.
    start, end = (pendulum.datetime(2026, 1, 1, hour, tz="UTC") for hour in (0, last_hour))
    return DAG(
        dag_id,
        schedule="@hourly",
        start_date=start,
        end_date=end,
        catchup=True,
        max_active_runs=1,
        default_args=RETRIES,
    )


with hourly("runs", 2):
    CCQueryAgentInfoOperator(task_id="ask", account_codes=["agent000000"])
with hourly("mapped", 0):
    CCConfigLoginOperator.partial(task_id="sign_in", max_active_tis_per_dagrun=1).expand(
        cc_conn_id=["cc_gateway_default"] * 3
    )
with hourly("waits", 1):
    CCAgentSensor(
        task_id="wait", account_code="agent000000", cc_conn_id="cc_waiting", poke_interval=1, deferrable=True
    )
"""

#: The DAGs, each with its last run.
LAST_RUNS = {"runs": "%T02:00%", "mapped": "%T00:00%", "waits": "%T01:00%"}


def connections(center: Simulator) -> dict[str, str]:
    """Return connections with a wrong password, as environment variables; who waits has another login."""
    known = {conn_id: {**fields, "password": WRONG} for conn_id, fields in center.connections().items()}
    known["cc_waiting"] = {**known["cc_management_default"], "login": "another-key"}
    return {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(fields) for conn_id, fields in known.items()}


def variables(airflow: AirflowHome, key: Fernet) -> dict[str, str]:
    with closing(sqlite3.connect(airflow.database, timeout=30)) as connection:
        rows = connection.execute("SELECT key, val FROM variable").fetchall()
    return {name: key.decrypt(value.encode()).decode() for name, value in rows}


@pytest.mark.timeout(600)
def test_each_wrong_credential_is_sent_once(tmp_path: Path, airflow_home: Callable[..., AirflowHome]) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "lock_out.py").write_text(DAGS)
    key = Fernet.generate_key()
    with Simulator(Settings(agents=10, seed=7, tls=True, echo_secrets=True, record=True)) as center:
        airflow = airflow_home(
            center,
            extra={
                **connections(center),
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__CORE__FERNET_KEY": key.decode(),
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
                "PYTHONPATH": str(CHECKOUT),
            },
        )
        with airflow.standalone():
            ends = [airflow.wait_for(dag_id, run_id, seconds=400) for dag_id, run_id in LAST_RUNS.items()]

    sent = [
        (call.endpoint, call.json.get("app_key", call.json.get("agentId"))) for call in center.stats.recorded
    ]
    assert sorted(sent) == sorted(
        [
            ("tokenByAkSk", center.settings.app_key),
            ("tokenByAkSk", "another-key"),
            ("config/login", center.settings.admin_id),
        ]
    )
    for end in ends:
        assert (end.state, set(end.tasks.values())) == ("failed", {"failed"})
    log = ends[-1].log
    left = variables(airflow, Fernet(key))
    marks = {name: value for name, value in left.items() if name.startswith("cc_blocked__")}
    assert len(marks) == 3
    assert "blocked until" in log
    assert f"airflow variables delete {next(iter(marks))}" in log
    fingerprints = [json.loads(mark)["fingerprint"] for mark in marks.values()]
    for secret in (WRONG, left["cc_refused_secret"], *fingerprints):
        assert secret not in log
