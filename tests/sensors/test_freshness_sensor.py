"""The ledger of real syncs into real databases, and how recent its last good run is."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.sensors.sync import CCSyncFreshnessSensor
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync import database as databases
from tests.transfers.conftest import Sync
from tests.transfers.database import Database, on_each_database

HOUR = timedelta(hours=1)


def sensor(**arguments: Any) -> CCSyncFreshnessSensor:
    arguments = {
        "sql_conn_id": "warehouse",
        "max_age": HOUR,
        "poke_interval": 0.01,
        "timeout": 0,
        **arguments,
    }
    return CCSyncFreshnessSensor(task_id="fresh", **arguments)


def is_fresh(**arguments: Any) -> bool:
    return bool(sensor(**arguments).poke({}))


def make_older(database: Database, by: timedelta) -> None:
    """Set back the ledger's clock: all runs began so much earlier."""
    shift = {
        "sqlite": f"strftime('%Y-%m-%d %H:%M:%f000', started_at, '-{by.total_seconds()} seconds')",
        "mysql": f"started_at - INTERVAL {by.total_seconds():.0f} SECOND",
    }.get(database.kind, f"started_at - INTERVAL '{by.total_seconds():.0f} seconds'")
    database.execute(f"UPDATE cc_sync_run SET started_at = {shift}")


def test_is_not_fresh_before_the_first_run(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(dict(database.connection)))

    assert not is_fresh()
    assert database.tables() == set()


@on_each_database
def test_is_fresh_after_a_run_and_not_for_ever(
    center: Simulator,
    database: Database,
    sync: Sync,
) -> None:
    begun = datetime.now(UTC)
    sync(run_id="first")

    found = sensor().execute({})

    assert json.loads(json.dumps(found)) == found
    assert (found["task_id"], found["run_id"]) == ("sync", "first")
    started, finished = (datetime.fromisoformat(found[name]) for name in ("started_at", "finished_at"))
    # SQLite's clock has milliseconds.
    assert begun - timedelta(milliseconds=1) <= started <= finished <= datetime.now(UTC)

    make_older(database, timedelta(minutes=59))
    assert is_fresh()
    make_older(database, timedelta(minutes=2))
    assert not is_fresh()


def test_a_run_log_of_an_earlier_release_will_do(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    sqlite_sync()
    sqlite_database.execute(
        *(f"ALTER TABLE cc_sync_run DROP COLUMN {name}" for name in ("throttled_seconds", "complete"))
    )

    assert is_fresh()


def test_waits_for_the_next_run(center: Simulator, sqlite_database: Database, sqlite_sync: Sync) -> None:
    sqlite_sync(run_id="old")
    make_older(sqlite_database, 2 * HOUR)
    waiting = Pokes(task_id="fresh", sql_conn_id="warehouse", max_age=HOUR, poke_interval=0.01, timeout=60)
    waiting.then = lambda: sqlite_sync(run_id="young")

    assert waiting.execute({})["run_id"] == "young"
    assert waiting.pokes == 2


class Pokes(CCSyncFreshnessSensor):
    """Lets something happen after the first poke."""

    then: Callable[[], object]
    pokes = 0

    def poke(self, context: Any) -> Any:
        self.pokes += 1
        if self.pokes == 2:
            self.then()
        return super().poke(context)


def test_a_run_that_failed_is_none(center: Simulator, sqlite_database: Database, sqlite_sync: Sync) -> None:
    with pytest.raises(CCError):
        sqlite_sync(accounts=["nobody"], run_id="bad")
    assert len(sqlite_database.query("SELECT * FROM cc_sync_run")) == 1

    assert not is_fresh()


def test_a_failed_run_does_not_hide_a_good_one(center: Simulator, sqlite_sync: Sync) -> None:
    sqlite_sync(run_id="good")
    with pytest.raises(CCError):
        sqlite_sync(accounts=["nobody"], run_id="bad")

    assert sensor().execute({})["run_id"] == "good"


def test_neither_is_one_with_an_error_noted(
    sqlite_database: Database, center: Simulator, sqlite_sync: Sync
) -> None:
    sqlite_sync()
    sqlite_database.execute("UPDATE cc_sync_run SET error = 'something'")

    assert not is_fresh()


def test_tells_tenants_dags_and_tasks_apart(
    center: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
) -> None:
    sqlite_sync(tenant="north", task_id="sync_north")
    sqlite_database.execute("UPDATE cc_sync_run SET dag_id = 'cc_north'")

    assert not is_fresh()
    assert is_fresh(tenant="north")
    assert is_fresh(tenant="north", sync_dag_id="cc_north", sync_task_id="sync_north")
    assert not is_fresh(tenant="north", sync_dag_id="cc_south")
    assert not is_fresh(tenant="north", sync_task_id="sync")


def test_the_ledger_may_have_another_name(center: Simulator, sqlite_sync: Sync) -> None:
    sqlite_sync(run_table="runs")

    assert not is_fresh()
    assert is_fresh(run_table="main.runs")


def test_in_vain_it_fails_or_skips(sqlite_sync: Sync) -> None:
    with pytest.raises(AirflowSensorTimeout):
        sensor().execute({})
    with pytest.raises(AirflowSkipException):
        sensor(soft_fail=True).execute({})


def test_what_is_no_ledger_fails_at_once(sqlite_database: Database, sqlite_sync: Sync) -> None:
    sqlite_database.execute("CREATE TABLE calls (started_at TEXT)")

    with pytest.raises(CCConfigError, match=r"^Table calls does not fit: .*column finished_at is missing"):
        sensor(run_table="calls").execute({})
    with pytest.raises(AirflowSkipException):
        sensor(run_table="calls", soft_fail=True).execute({})


def test_what_is_no_database_fails_at_once(center: Simulator) -> None:
    with pytest.raises(CCConfigError, match="is not a supported database"):
        sensor(sql_conn_id="cc_management_default").execute({})


def test_a_duckdb_file_that_is_in_use_is_waited_for(
    center: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync keeps the file locked while it writes."""
    path = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": str(path)}))
    program = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read(1)"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        holder.stdout.readline()
        tried = threading.Event()
        monkeypatch.setattr(databases.Database, "_log_retry", lambda *_: tried.set())
        threading.Thread(target=lambda: (tried.wait(60), holder.stdin.close())).start()

        assert not is_fresh()
        assert tried.is_set()
