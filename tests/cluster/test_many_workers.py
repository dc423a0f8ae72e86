"""Workers are killed and stopped, the broker is restarted, and the run ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from scripts.cluster import Cluster
from scripts.postgres import postgres
from tests.transfers.database import Database

#: `make test-cluster ACCOUNTS=200000`: any other number than this gets all that can happen to a cluster.
ACCOUNTS = int(os.environ.get("ACCOUNTS", "20000"))
IS_LONG = ACCOUNTS != 20_000
SHARDS = 12 if IS_LONG else 6
SYNC = {"sql_conn_id": "warehouse", "history_table": "cc_agent_history"}
SQL = "SELECT account FROM cc_account"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with postgres(tmp_path_factory.mktemp("postgres") / "server") as connection:
        yield json.loads(connection)


@pytest.fixture
def database(server: dict[str, Any]) -> Database:
    host, port, login = (server[name] for name in ("host", "port", "login"))
    return Database(f"postgresql+psycopg2://{login}@{host}:{port}/postgres", server)


@pytest.fixture
def center() -> Iterator[Simulator]:
    with Simulator(Settings(agents=ACCOUNTS, seed=7)) as simulator:
        yield simulator


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def content(database: Database, tenant: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return what is in the tables, but for when and by which task it was written."""
    values = "account, agent_id, agent_type, agent_status, softphone_number"
    queries = {
        "rows": f"SELECT {values}, is_active FROM cc_agent WHERE tenant = :tenant ORDER BY 1",
        "versions": f"SELECT {values}, valid_to IS NULL FROM cc_agent_history WHERE tenant = :tenant"
        " ORDER BY account, valid_from",
        "rejects": "SELECT account, endpoint, code, message FROM cc_agent_reject WHERE tenant = :tenant"
        " ORDER BY 1",
    }
    return {name: database.query(sql, tenant=tenant) for name, sql in queries.items()}


@pytest.mark.timeout(3600)
def test_a_killed_worker_changes_nothing(
    database: Database,
    server: dict[str, Any],
    center: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of one undisturbed task, and one that several workers share, leave the same, row by row."""
    connection = center.connections()["cc_management_default"]
    connection["extra"] |= {"share_session": True, "max_concurrency": 48}
    environment = {
        "AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT": json.dumps(connection),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(server),
        "SHARDS": str(SHARDS),
        "CHUNK": str(ACCOUNTS // SHARDS // 20),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    everybody = list(center.accounts())
    database.execute("CREATE TABLE cc_account (account VARCHAR(64))")
    codes = [*everybody, *everybody[:10], *(f"nobody{number}" for number in range(20)), " padded"]
    database.execute("INSERT INTO cc_account VALUES (:code)", rows=[{"code": code} for code in codes])

    def alone(run_id: str, tenant: str) -> dict[str, Any]:
        operator = CCAgentsToSqlOperator(task_id="sync", tenant=tenant, accounts_sql=SQL, **SYNC)
        return operator.execute({"ti": SimpleNamespace(run_id=run_id, map_index=-1)})

    for tenant in ("alone", "shared"):
        alone("first", tenant)
    for account in everybody[::10]:
        center.change_agent(account, agent_type=11)
    for account in everybody[5:1000:20]:
        center.remove_agent(account)
    expected = alone("second", "alone")

    airflow = Cluster(tmp_path / "airflow", environment, Path(__file__).parent / "dags", server)
    staged = "SELECT count(*) FROM cc_agent_stage WHERE outcome <> 'shared'"
    with airflow.running():
        airflow.unpause("shared")
        center.stats.reset()
        center.faults.latency = 0.1  # so that a shard is under way for some seconds
        airflow.trigger("shared", "disturbed")
        wait_until(lambda: database.query(staged)[0][0] > 0.2 * ACCOUNTS, 600, "a fifth is read")
        killed = airflow.busiest_worker()
        airflow.signal_worker(killed, signal.SIGKILL)
        if IS_LONG:
            _disturb_more(airflow, lambda: database.query(staged)[0][0])
        run = airflow.wait_for("shared", "disturbed", 1800)
        tries = airflow.tries("shared", "sync.read")

    assert run.state == "success", run.log[-5000:]
    assert max(tries) > 1, "no task was lost with its worker"
    counts = run.xcoms["sync.apply", -1]
    of_the_tasks = ("resumed", "requests", "sign_ins", "throttled_seconds", "seconds", "tenant")
    assert {name: counts[name] for name in counts if name not in of_the_tasks} == {
        name: expected[name] for name in counts if name not in of_the_tasks
    }
    assert counts["resumed"] > 0
    assert center.stats.requests("queryAgentInfoByAccount") < 1.1 * expected["requests"]
    assert content(database, "shared") == content(database, "alone")
    assert database.query(staged) == [(0,)]
    ledger = "SELECT count(*), min(synced), max(error) FROM cc_sync_run WHERE run_id = 'disturbed'"
    assert database.query(ledger) == [(1, expected["synced"], None)]


def _disturb_more(airflow: Cluster, staged: Callable[[], int]) -> None:
    """Restart the broker; stop another worker for a minute, so that its tasks are begun elsewhere."""
    wait_until(lambda: staged() > 0.3 * ACCOUNTS, 600, "a third is read")
    airflow.restart_broker(pause=5)
    wait_until(lambda: staged() > 0.4 * ACCOUNTS, 600, "two fifths are read")
    stopped = airflow.busiest_worker()
    airflow.signal_worker(stopped, signal.SIGSTOP)
    time.sleep(60)
    airflow.signal_worker(stopped, signal.SIGCONT)
