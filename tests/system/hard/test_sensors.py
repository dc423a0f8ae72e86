"""Waits as in production: a worker defers, a triggerer asks and is killed, and another one goes on."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import AirflowHome
from tests.operators.test_management import expected
from tests.system.hard.waiting import wait_until
from tests.system.warehouse import Warehouse

NEW = "new.one"
REFUSED_LATER = ("refused_later", "refused_later_softly")

#: How each wait goes about it; each has a contact center and a connection of its own name.
WAYS = {
    "late": {"deferrable": True},
    "refused": {"deferrable": True},
    "refused_softly": {"deferrable": True, "soft_fail": True},
    "refused_softly_in_poke_mode": {"soft_fail": True},
    "refused_softly_in_reschedule_mode": {"mode": "reschedule", "soft_fail": True},
    "refused_later": {"deferrable": True},
    "refused_later_softly": {"deferrable": True, "soft_fail": True},
    "in_vain": {"deferrable": True, "timeout": 10},
    "in_vain_softly": {"deferrable": True, "timeout": 10, "soft_fail": True},
    "rescheduled": {"mode": "reschedule", "poke_interval": 15},
}

DAGS = f"""
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.sensors.management import CCAgentSensor

# Not too fast: the executor has to report the end of one process before there is reason for the next.
COMMON = {{"poke_interval": 5, "timeout": 600, "retries": 2, "retry_delay": timedelta(seconds=1)}}

for way, arguments in {WAYS!r}.items():
    with DAG(way, schedule="@once", start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False):
        CCAgentSensor(task_id="wait", account_code="{NEW}", cc_conn_id=way, **{{**COMMON, **arguments}})
"""


def tries(airflow: AirflowHome, dag_id: str) -> list[tuple[str, int]]:
    """Return the state of the only task, and which try it is at."""
    with contextlib.closing(sqlite3.connect(airflow.database, timeout=30)) as connection:
        return connection.execute(
            "SELECT state, try_number FROM task_instance WHERE dag_id = ?", (dag_id,)
        ).fetchall()


def _is_triggerer(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):  # some have just ended
        return process.cmdline()[-1:] == ["triggerer"]
    return False


def kill_triggerer(airflow: AirflowHome) -> None:
    """Kill it with the processes that it has forked; nobody starts it again."""
    group = psutil.Process(airflow._standalone.pid).children(recursive=True)
    killed = [process for process in group if _is_triggerer(process)]
    assert killed
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=30)


@contextlib.contextmanager
def another_triggerer(airflow: AirflowHome) -> Iterator[None]:
    with airflow.log.open("ab") as log:
        triggerer = subprocess.Popen(
            [sys.executable, "-m", "airflow", "triggerer"],
            env=airflow.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        triggerer.terminate()
        triggerer.wait(60)


@pytest.fixture
def centers(tmp_path: Path) -> Iterator[dict[str, Simulator]]:
    with contextlib.ExitStack() as stack:
        settings = {"agents": 3, "seed": 7, "count_accounts": True, "cert_dir": tmp_path / "certificates"}
        yield {way: stack.enter_context(Simulator(Settings(**settings))) for way in WAYS}


@pytest.mark.timeout(900)
def test_waits(centers: dict[str, Simulator], tmp_path: Path, migrated_database: Path) -> None:
    connections = {way: each.connections()["cc_management_default"] for way, each in centers.items()}
    refused = [way for way in WAYS if way.startswith("refused") and way not in REFUSED_LATER]
    for way in refused:
        connections[way]["password"] = "not-the-secret"
    environment = {f"AIRFLOW_CONN_{way.upper()}": json.dumps(each) for way, each in connections.items()}
    environment["AIRFLOW__CORE__PARALLELISM"] = "2"
    environment["AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD"] = "10"
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "waits.py").write_text(DAGS)
    airflow = AirflowHome(tmp_path / "airflow", environment, dags=tmp_path / "dags")
    airflow.migrate(template=migrated_database)

    def until_deferred(way: str) -> None:
        # The worker asks once, the rest is the triggerer.
        wait_until(lambda: centers[way].stats.accounts[NEW] >= 4, "further question")
        assert tries(airflow, way) == [("deferred", 1)]
        assert centers[way].stats.sign_ins() == 2

    with airflow.standalone():
        airflow.wait_for_web()  # tasks that start before it cannot, and lose a try
        airflow.unpause("late")
        airflow.airflow("dags", "unpause", "--yes", "--treat-dag-id-as-regex", ".*")
        for way in REFUSED_LATER:
            until_deferred(way)
            centers[way].settings.app_secret = "another"
            centers[way].expire_sessions()
        wait_until(lambda: centers["rescheduled"].stats.accounts[NEW] >= 2, "further question")
        centers["rescheduled"].add_agent(NEW)
        runs = {way: airflow.wait_for(way, seconds=280) for way in WAYS if way != "late"}

        until_deferred("late")
        kill_triggerer(airflow)
        asked = centers["late"].stats.accounts[NEW]
        with another_triggerer(airflow):
            wait_until(lambda: centers["late"].stats.accounts[NEW] >= asked + 2, "further question")
            assert tries(airflow, "late") == [("deferred", 1)]
            centers["late"].add_agent(NEW)
            runs["late"] = airflow.wait_for("late", seconds=280)

    ends = {way: tries(airflow, way)[0] for way in WAYS}
    log = runs["late"].log
    assert ends == {
        "late": ("success", 1),
        "refused": ("failed", 1),
        "refused_softly": ("skipped", 1),
        "refused_softly_in_poke_mode": ("skipped", 1),
        "refused_softly_in_reschedule_mode": ("skipped", 1),
        "refused_later": ("failed", 1),
        "refused_later_softly": ("skipped", 1),
        "in_vain": ("failed", 1),
        "in_vain_softly": ("skipped", 1),
        "rescheduled": ("success", 1),
    }, log
    for way in ("late", "rescheduled"):
        assert runs[way].xcoms["wait", -1] == expected(centers[way], NEW)
    # One for the worker, one for the triggerer, one for the triggerer after it.
    assert centers["late"].stats.sign_ins() == 3
    sign_ins = {way: (each.stats.sign_ins(), each.stats.refused()) for way, each in centers.items()}
    assert [sign_ins[way] for way in refused] == [(0, 1)] * len(refused)
    assert [sign_ins[way] for way in REFUSED_LATER] == [(2, 1)] * len(REFUSED_LATER)
    secrets = {secret for each in centers.values() for secret in each.secrets()}
    assert not [secret for secret in {*secrets, "not-the-secret"} if secret in log]


def test_a_new_agent_is_synced_at_once(
    center: Simulator, duckdb_warehouse: Warehouse, airflow_home: Callable[..., AirflowHome]
) -> None:
    center.add_agent(NEW)

    run = airflow_home(center, duckdb_warehouse).run_dag("cc_wait_for_agent", {"account": NEW})

    assert run.state == "success", run.log
    assert run.xcoms["wait_for_agent", -1] == expected(center, NEW)
    assert duckdb_warehouse.query("SELECT account FROM cc_agent") == [(NEW,)]
