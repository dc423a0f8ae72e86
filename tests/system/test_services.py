"""What only Airflow's own services show: syncs as in production, and tasks that are stopped in mid-run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import CHECKOUT, AirflowHome
from scripts.ports import free_port
from tests.monitoring import Collector, StatsD
from tests.system.warehouse import Warehouse

CHECK = """
import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.operators.gateway import CCQueryLoginInfoOperator

with DAG("check", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    CCQueryLoginInfoOperator(task_id="ask", agent_conn_id="cc_agent_default")
"""
STOPPED = """
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
        retries=5,  # on a busy machine the second try may be cut off, too
        retry_delay=timedelta(seconds=1),
        trigger_rule="all_done",
        **common,
    )
    terminated >> timed_out
"""
SHARDS = 3
SHARED = f"""
import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_cc.transfers.agents_to_sql import cc_agents_sync

with DAG("shared", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    cc_agents_sync(
        "sync",
        shards={SHARDS},
        cc_conn_id=["cc_down", "cc_up"],
        sql_conn_id="postgres",
        accounts_sql="SELECT account FROM cc_account",
        outlets=[Asset("cc_agent")],
    )
"""
FROM_DIRECTORY = "cc_agents_from_directory"
#: What a sync says of itself, from the first line to the last.
SAID = re.compile(r"Plan: |accounts, \d+ a second|Synced: |Sync failed ")


class Running(NamedTuple):
    """An Airflow whose services run, with a contact center, a warehouse and monitoring.

    :param pids: folder in which tasks leave the ids of their processes
    """

    airflow: AirflowHome
    center: Simulator
    warehouse: Warehouse
    pids: Path
    statsd: StatsD
    collector: Collector


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, certificates: Path, migrated_database: Path
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("services")
    dags, pids, path = folder / "dags", folder / "pids", folder / "warehouse.sqlite"
    for directory in (dags, pids):
        directory.mkdir()
    (dags / "check.py").write_text(CHECK)
    (dags / "stopped.py").write_text(STOPPED)
    (dags / "shared.py").write_text(SHARED)
    shutil.copy(CHECKOUT / "dags" / f"{FROM_DIRECTORY}.py", dags)
    warehouse = Warehouse(f"sqlite:///{path}", {"conn_type": "sqlite", "host": str(path)})
    settings = Settings(agents=1000, seed=7, tls=True, cert_dir=certificates)
    with Simulator(settings) as center, StatsD() as statsd, Collector() as collector:
        environment = {
            **center.environment(),
            **collector.environment(),
            **statsd.environment(),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(warehouse.connection),
            "PYTHONPATH": str(CHECKOUT),
            "PIDS": str(pids),
        }
        airflow = AirflowHome(folder / "airflow", environment, dags=dags)
        airflow.migrate(template=migrated_database)
        with airflow.standalone(), airflow.one_process():
            yield Running(airflow, center, warehouse, pids, statsd, collector)


@pytest.fixture(autouse=True)
def _no_fault(running: Running) -> Iterator[None]:
    yield
    running.center.faults.latency, running.center.faults.only = 0.0, None


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - begun


def test_a_directory_is_synced_by_the_scheduler(running: Running) -> None:
    """With its log, metrics and spans."""
    running.collector.spans.clear()  # of other tests' syncs
    running.airflow.unpause(FROM_DIRECTORY)
    running.airflow.trigger(FROM_DIRECTORY, "by_hand")
    run = running.airflow.wait_for(FROM_DIRECTORY, "by_hand")

    assert run.state == "success", run.log
    assert running.warehouse.query("SELECT count(*) FROM cc_agent") == [(1000,)]
    assert not [secret for secret in running.center.secrets() if secret in run.log]

    logs = running.airflow.directory / "logs" / f"dag_id={FROM_DIRECTORY}"
    (log,) = logs.rglob("run_id=by_hand/**/attempt=1.log")
    assert SAID.findall(log.read_text()) == ["Plan: ", "Synced: "]
    assert "softphones='directory') into cc_agent on sqlite (connection 'warehouse')" in log.read_text()

    added = running.statsd.received()["cc.sync.accounts.added"]
    # Beside the one by hand, there is the run that was due.
    assert sum(metric.value for metric in added if metric.tags["dag_id"] == FROM_DIRECTORY) == 1000
    told = {"cc.sync.read", "cc.sync.stage", "cc.sync.apply"}
    wait_until(lambda: set(running.collector.named("cc.sync.")) == told, 60, "the spans of a sync")
    if not version("apache-airflow").startswith("3.0."):  # which does not tell a task its span
        spans = running.collector.named("cc.sync.").values()
        ((_, parent),) = {(span.trace_id, span.parent_span_id) for span in spans}
        assert parent


def test_an_agent_is_signed_out_when_the_task_is_killed(running: Running) -> None:
    airflow, center = running.airflow, running.center
    center.faults.latency, center.faults.only = 25.0, {"logininfo"}  # the task waits for this
    airflow.unpause("check")
    airflow.trigger("check", "by_hand")
    wait_until(lambda: center.stats.requests("agentevent") > 0, 120, "the agent is signed in")
    wait_until(lambda: center.stats.requests("logininfo") > 0, 20, "it is asked about")
    assert center.signed_in_agents() != []
    with closing(sqlite3.connect(airflow.database, timeout=60)) as connection, connection:
        # As when someone marks it failed in the UI: the task's process learns of it by its heartbeat.
        connection.execute("UPDATE task_instance SET state = 'failed' WHERE dag_id = 'check'")

    # The heartbeat, and less than 3 s.
    wait_until(lambda: center.signed_in_agents() == [], 20, "the agent is signed out")

    assert center.stats.requests("logout") == 1
    assert center.stats.time_outs == 0


def test_a_real_sync_ends_within_two_seconds(running: Running) -> None:
    airflow, center, warehouse, pids, *_ = running
    center.faults.latency, center.faults.only = 1.0, {"queryAgentInfoByAccount"}

    def staged(table: str) -> int:
        there = f"SELECT 1 FROM sqlite_master WHERE name = '{table}_stage'"
        if not warehouse.query(there):
            return 0
        ((count,),) = warehouse.query(f"SELECT COUNT(*) FROM {table}_stage")
        return int(count)

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
        ("Stopped by Airflow; staged answers are kept", None)
    ]
    assert run.tasks["terminated", -1] == "failed"
    assert run.tasks["timed_out", -1] == "success"
    assert run.xcoms["timed_out", -1]["resumed"] >= 50
    ((tries, *counts),) = warehouse.query("SELECT tries, synced, added, error FROM run_two")
    assert tries >= 2
    assert counts == [200, 200, None]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_many_tasks_are_one_run(running: Running, center: Simulator, warehouse: Warehouse) -> None:
    """Side by side, into PostgreSQL; another contact center that is down neither delays nor spoils them."""
    warehouse.add_accounts([*center.accounts(), "nobody", "agent000007"])
    connection = center.connections()["cc_management_default"]
    connection["extra"] |= {"share_session": True}
    for conn_id, port in (("cc_up", connection["port"]), ("cc_down", free_port())):
        stored = json.dumps({**connection, "port": port})
        running.airflow.airflow("connections", "add", conn_id, "--conn-json", stored)
    running.airflow.airflow("connections", "add", "postgres", "--conn-json", json.dumps(warehouse.connection))

    running.airflow.unpause("shared")
    running.airflow.trigger("shared", "by_hand")
    run = running.airflow.wait_for("shared", "by_hand", 600)

    assert run.state == "failed"
    states = {task_id.removeprefix("sync."): state for (task_id, _), state in run.tasks.items()}
    assert states == {
        **dict.fromkeys(("cc_up.prepare", "cc_up.read", "cc_up.apply"), "success"),
        "cc_down.prepare": "failed",
        **dict.fromkeys(("cc_down.read", "cc_down.apply"), "upstream_failed"),
    }, run.log
    reads = [run.xcoms["sync.cc_up.read", shard] for shard in range(SHARDS)]
    counts = run.xcoms["sync.cc_up.apply", -1]
    assert all(read["synced"] > 250 for read in reads)
    assert sum(read["synced"] for read in reads) == counts["synced"] == counts["added"] == 1000
    assert (counts["requested"], counts["duplicates"], counts["rejected"]) == (1002, 1, 1)
    (event,) = _events(running.airflow, "shared")
    assert {name: event[name] for name in counts} == counts
    assert (center.stats.sign_ins(), counts["sign_ins"]) == (1, 1)
    # Pages of 100 lines, and the end: the directory is read once, not by each shard.
    assert center.stats.requests("agentAccount/query") == 11
    ledger = dict(
        (tenant, (*rest,))
        for tenant, *rest in warehouse.query(
            "SELECT tenant, task_id, map_index, requested, synced, error FROM cc_sync_run"
        )
    )
    assert ledger["cc_up"] == ("sync.cc_up", -1, 1002, 1000, None)
    assert "connect" in ledger["cc_down"][-1]
    assert warehouse.query("SELECT tenant, count(*) FROM cc_agent GROUP BY tenant") == [("cc_up", 1000)]
    assert warehouse.query("SELECT count(*) FROM cc_agent_stage") == [(0,)]
    assert not [secret for secret in center.secrets() if secret in run.log]


def _events(airflow: AirflowHome, dag_id: str) -> list[dict[str, object]]:
    """Return what came with each update of an asset by a DAG."""
    with closing(sqlite3.connect(airflow.database, timeout=30)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        table = "asset_event" if "asset_event" in names else "dataset_event"
        told = connection.execute(f"SELECT extra FROM {table} WHERE source_dag_id = ?", (dag_id,))
        return [json.loads(extra) for (extra,) in told]


def _runs(pid: int) -> bool:
    """Whether a process is there, and not just waited for by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
