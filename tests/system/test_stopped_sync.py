"""A sync that Airflow stops ends at once, and its next try asks for the rest."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import CHECKOUT, AirflowHome
from tests.system.test_killed import wait_until
from tests.system.warehouse import Warehouse

DAG = """
import os
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator


def note(context):
    task = context["ti"]
    Path(os.environ["PIDS"], f"{task.task_id}{task.try_number}").write_text(str(os.getpid()))


common = {
    "sql_conn_id": "warehouse",
    "accounts": [f"agent{number:06d}" for number in range(200)],
    "softphones": "none",
    "chunk_size": 10,
    "pre_execute": note,
}
with DAG("stopped", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    terminated = CCAgentsToSqlOperator(task_id="terminated", table="one", run_table="run_one", **common)
    timed_out = CCAgentsToSqlOperator(
        task_id="timed_out",
        table="two",
        run_table="run_two",
        execution_timeout=timedelta(seconds=5),
        retries=1,
        retry_delay=timedelta(seconds=1),
        trigger_rule="all_done",
        **common,
    )
    terminated >> timed_out
"""


def test_a_real_task_ends_within_two_seconds(
    centre: Simulator, tmp_path: Path, airflow_home: Callable[..., AirflowHome]
) -> None:
    path = tmp_path / "warehouse.sqlite"
    warehouse = Warehouse(f"sqlite:///{path}", {"conn_type": "sqlite", "host": str(path)})
    dags, pids = tmp_path / "dags", tmp_path / "pids"
    dags.mkdir()
    pids.mkdir()
    (dags / "stopped.py").write_text(DAG)
    airflow = airflow_home(
        centre,
        warehouse,
        extra={
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "PYTHONPATH": str(CHECKOUT),
            "PIDS": str(pids),
        },
    )
    centre.faults.latency, centre.faults.only = 1.0, {"queryAgentInfoByAccount"}

    def staged(table: str) -> int:
        there = f"SELECT 1 FROM sqlite_master WHERE name = '{table}_stage'"
        if not warehouse.query(there):
            return 0
        ((count,),) = warehouse.query(f"SELECT COUNT(*) FROM {table}_stage")
        return int(count)

    with airflow.standalone():
        airflow.unpause("stopped")
        airflow.trigger("stopped", "by_hand")
        wait_until(lambda: staged("one") > 0, 120, "answers are staged")
        pid = int((pids / "terminated1").read_text())
        os.kill(pid, signal.SIGTERM)  # as the supervisor does when somebody marks the task as failed
        terminated = wait_until(lambda: not _runs(pid), 10, "the task's process has ended")
        kept = staged("one")

        first = pids / "timed_out1"
        wait_until(first.exists, 120, "the second task")
        pid = int(first.read_text())
        timed_out = wait_until(lambda: not _runs(pid), 30, "the task's process has ended")
        run = airflow.wait_for("stopped", "by_hand", 120)

    assert terminated < 2
    assert timed_out < 5 + 2
    assert kept > 0
    assert warehouse.query("SELECT COUNT(*) FROM one") == [(0,)]
    assert warehouse.query("SELECT error, finished_at FROM run_one") == [
        ("Stopped by Airflow; what is staged stays", None)
    ]
    assert run.tasks["terminated", -1] == "failed"
    assert run.tasks["timed_out", -1] == "success"
    assert run.xcoms["timed_out", -1]["resumed"] >= 50
    assert warehouse.query("SELECT tries, synced, added, error FROM run_two") == [(2, 200, 200, None)]


def _runs(pid: int) -> bool:
    """Whether a process is there, and not just waited for by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
