"""What OpenLineage is told of a sync: by its own provider, in a DAG that Airflow runs, into a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.api.management import AGENT_INFO, DIRECTORY
from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import AirflowHome, Run
from tests.transfers.database import Database, empty_postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAG = """
import json
import os

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

postgres = json.loads(os.environ["AIRFLOW_CONN_POSTGRES"])
TABLE = Asset("postgres://{host}:{port}/{schema}/public/cc_agent".format(**postgres))

with DAG("lineage", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    for kind in ("sqlite", "duckdb", "postgres"):
        CCAgentsToSqlOperator(
            task_id=kind,
            outlets=[TABLE] if kind == "postgres" else [],
            sql_conn_id=kind,
            accounts_sql="SELECT account FROM hr_account WHERE account <> 'somebody.private'",
            history_table="cc_agent_history",
        )
    CCAgentsToSqlOperator(
        task_id="directory", sql_conn_id="sqlite", table="main.other", run_table="other_run"
    )
    CCAgentsToSqlOperator(task_id="rehearsal", sql_conn_id="postgres", dry_run=True, outlets=[TABLE])
    CCAgentsToSqlOperator(
        task_id="all_rejected",
        sql_conn_id="postgres",
        accounts=["somebody.private"],
        run_table="another_run",
    )
    CCAgentsToSqlOperator(task_id="no_database", sql_conn_id="cc_management_default")
"""


@dataclass(frozen=True)
class Told:
    """What came of one run of the DAG.

    :param run: what Airflow says of it
    :param text: all that OpenLineage was told
    :param center: address of the contact center
    :param databases: what OpenLineage calls each database
    :param secrets: what must not be in it
    """

    run: Run
    text: str
    center: str
    databases: dict[str, str]
    secrets: set[str]

    def event(self, task_id: str, kind: str = "COMPLETE") -> dict[str, Any]:
        """Return what was told of a task when it started, completed or failed."""
        events = [json.loads(line) for line in self.text.splitlines()]
        (found,) = (
            event
            for event in events
            if (event["eventType"], event["job"]["name"]) == (kind, f"lineage.{task_id}")
        )
        return dict(found)


def _names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory,
    migrated_database: Path,
    postgres_connection: dict[str, Any],
) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "dags").mkdir()
    (folder / "dags" / "lineage.py").write_text(DAG)
    files = {kind: str(folder / f"warehouse.{kind}") for kind in ("sqlite", "duckdb")}
    warehouse = empty_postgres({**postgres_connection, "password": "of-the-warehouse"})
    databases = [
        *(Database(f"{kind}:///{path}", {"conn_type": kind, "host": path}) for kind, path in files.items()),
        warehouse,
    ]
    with Simulator(Settings(agents=12, seed=7, tls=True)) as center:
        for database in databases:
            database.execute(
                "DROP TABLE IF EXISTS hr_account", "CREATE TABLE hr_account (account VARCHAR(64))"
            )
            database.execute(
                "INSERT INTO hr_account VALUES (:account)",
                rows=[{"account": account} for account in [*center.accounts(), "nobody"]],
            )
        events = folder / "events.jsonl"
        transport = {"type": "file", "log_file_path": str(events), "append": True}
        environment = {
            **center.environment(),
            **{
                f"AIRFLOW_CONN_{kind.upper()}": json.dumps(dict(database.connection))
                for kind, database in zip((*files, "postgres"), databases, strict=True)
            },
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "60",
        }
        airflow = AirflowHome(folder / "airflow", environment, dags=folder / "dags")
        airflow.migrate(template=migrated_database)
        with airflow.one_process():
            run = airflow.run_dag("lineage")
        connection = center.connections()["cc_management_default"]
        yield Told(
            run,
            events.read_text(),
            f"https://{connection['host']}:{connection['port']}",
            {
                **{kind: f"{kind}://{path}" for kind, path in files.items()},
                "postgres": "postgres://{host}:{port}".format_map(warehouse.connection),
            },
            {*center.secrets(), *center.accounts(), "of-the-warehouse", "somebody.private"},
        )


def _rows(datasets: list[dict[str, Any]]) -> list[int]:
    return [dataset["outputFacets"]["outputStatistics"]["rowCount"] for dataset in datasets]


def test_every_task_ends_as_if_nobody_listened(told: Told) -> None:
    others = {task_id: state for (task_id, _), state in told.run.tasks.items() if state != "success"}

    assert others == {"all_rejected": "failed", "no_database": "failed"}, told.run.log
    assert "failed to extract" not in told.run.log


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "postgres"])
def test_the_tables_are_outputs(told: Told, kind: str) -> None:
    """Named as Airflow's own SQL operators name them; a database without a server, by its file."""
    prefix = "postgres.public" if kind == "postgres" else "main"

    assert _names(told.event(kind)["outputs"]) == [
        (told.databases[kind], f"{prefix}.{table}")
        for table in ("cc_agent", "cc_agent_history", "cc_agent_reject", "cc_sync_run")
    ]


def test_a_schema_that_was_given_is_in_the_name(told: Told) -> None:
    names = [name for _, name in _names(told.event("directory")["outputs"])]

    assert names == ["main.other", "main.cc_agent_reject", "main.other_run"]


def test_each_has_its_columns(told: Told) -> None:
    agent, history, *_ = told.event("postgres")["outputs"]

    columns = {field["name"]: field["type"] for field in agent["facets"]["schema"]["fields"]}
    assert columns["agent_id"] == "INTEGER"
    assert columns["synced_at"] == "TIMESTAMP WITH TIME ZONE"
    assert list(columns)[:3] == ["tenant", "account", "agent_id"]
    assert "valid_from" in {field["name"] for field in history["facets"]["schema"]["fields"]}


def test_each_has_its_rows(told: Told) -> None:
    """Twelve agents and their versions, one reject, one line of the ledger."""
    assert _rows(told.event("postgres")["outputs"]) == [12, 12, 1, 1]
    assert _rows(told.event("directory")["outputs"]) == [12, 0, 1]


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "postgres"])
def test_the_query_s_tables_and_the_interfaces_are_inputs(told: Told, kind: str) -> None:
    prefix = "postgres.public" if kind == "postgres" else "main"

    assert _names(told.event(kind)["inputs"]) == [
        (told.center, AGENT_INFO.path),
        (told.center, DIRECTORY.path),
        (told.databases[kind], f"{prefix}.hr_account"),
    ]
    assert _names(told.event("directory")["inputs"]) == [(told.center, DIRECTORY.path)]


def test_the_postgres_asset_of_the_table_is_the_same_dataset(told: Told) -> None:
    (asset,) = (output for output in told.event("rehearsal", "START")["outputs"])

    assert (asset["namespace"], asset["name"]) == _names(told.event("postgres")["outputs"])[0]


def test_a_dry_run_has_no_outputs(told: Told) -> None:
    event = told.event("rehearsal")

    assert event["outputs"] == []
    assert _names(event["inputs"]) == [(told.center, DIRECTORY.path)]


def test_a_try_that_failed_tells_what_it_wrote(told: Told) -> None:
    """Its line of the ledger, and nothing else: not even its reject is applied."""
    assert _rows(told.event("all_rejected", "FAIL")["outputs"]) == [0, 0, 1]


def test_a_try_that_never_began_tells_nothing(told: Told) -> None:
    event = told.event("no_database", "FAIL")

    assert (event["inputs"], event["outputs"]) == ([], [])


def test_no_secret_and_no_account_is_told(told: Told) -> None:
    assert len(told.text) > 1000
    assert [secret for secret in told.secrets if secret in told.text] == []
