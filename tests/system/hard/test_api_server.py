"""Airflow's API server is killed under a running sync, and comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import AirflowHome
from tests.system.hard.waiting import wait_until
from tests.system.warehouse import Warehouse

ACCOUNTS, CHUNK = 600, 50
INFO = "queryAgentInfoByAccount"

DAG = f"""
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

with DAG("sync", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    CCAgentsToSqlOperator(
        task_id="sync_agents",
        sql_conn_id="warehouse",
        accounts_sql="SELECT account FROM cc_account",
        softphones="none",
        history_table="cc_agent_history",
        chunk_size={CHUNK},
        retries=8,
        retry_delay=timedelta(seconds=15),
    )
"""


def kill_api_server(airflow: AirflowHome) -> None:
    """End by SIGKILL that part of the running Airflow which listens on its port."""
    for part in psutil.Process(airflow._standalone.pid).children():
        processes = [part, *part.children(recursive=True)]
        ports = {c.laddr.port for p in processes for c in p.net_connections() if c.status == "LISTEN"}
        if airflow.port in ports:
            for process in processes:
                process.kill()
            psutil.wait_procs(processes, timeout=30)
            assert not airflow._web_answers()
            return
    pytest.fail("nobody listens on Airflow's port")


@contextmanager
def another_api_server(airflow: AirflowHome) -> Iterator[None]:
    with airflow.log.open("ab") as log:
        process = subprocess.Popen(
            [airflow.python, "-m", "airflow", "api-server"],
            cwd=airflow.directory,
            env=airflow.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        airflow.wait_for_web()
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="tasks of Airflow before 3 need no API server")
@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@pytest.mark.timeout(900)
def test_a_sync_outlives_a_restart_of_the_api_server(
    tmp_path: Path, warehouse: Warehouse, airflow_home: Callable[..., AirflowHome]
) -> None:
    """Its session ends meanwhile: the new one cannot be shared, and serves all the same."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "sync.py").write_text(DAG)
    with Simulator(Settings(agents=ACCOUNTS, seed=7, tls=True)) as center:
        warehouse.add_accounts(center.accounts())
        connection = center.connections()["cc_management_default"]
        connection["extra"] |= {"max_concurrency": 4, "share_session": True}
        airflow = airflow_home(
            center,
            warehouse,
            {
                "AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT": json.dumps(connection),
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": "15",
                # A task that Airflow itself ends, as its heartbeats got no answer, is tried again soon.
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            },
        )
        center.faults.only, center.faults.latency = {INFO}, 0.1

        with airflow.standalone():
            airflow.unpause("sync")
            airflow.trigger("sync", "by_hand")
            wait_until(lambda: center.stats.requests(INFO) > 2 * CHUNK, "second chunk")
            center.faults.latency = 2.0  # the run waits for what comes
            kill_api_server(airflow)
            center.expire_sessions()
            with another_api_server(airflow):
                before = center.stats.requests(INFO)
                assert before < ACCOUNTS  # so that it comes back in mid-run
                center.faults.latency = 0.0
                run = airflow.wait_for("sync", "by_hand", seconds=400)

    assert run.state == "success", run.log
    assert warehouse.query("SELECT COUNT(*), COUNT(DISTINCT account) FROM cc_agent") == [(ACCOUNTS, ACCOUNTS)]
    assert warehouse.query("SELECT COUNT(*) FROM cc_agent_history") == [(ACCOUNTS,)]
    assert warehouse.query("SELECT COUNT(*) FROM cc_agent_reject") == [(0,)]
    ((requested, synced, added, error, ended, tries),) = warehouse.query(
        "SELECT requested, synced, added, error, finished_at IS NOT NULL, tries FROM cc_sync_run"
    )
    assert (requested, synced, added, error, ended) == (ACCOUNTS, ACCOUNTS, ACCOUNTS, None, True)
    assert tries <= 2
    # One in the beginning, and one for the lapse: by this try, or by the next, after it found the old one.
    assert center.stats.sign_ins("management") <= 3
    counts = run.xcoms["sync_agents", -1]
    assert counts["synced"] == ACCOUNTS
