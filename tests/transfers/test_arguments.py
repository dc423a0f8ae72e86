"""Arguments that make no sense are refused before anybody is asked; constructing does nothing at all."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cc.compat import AirflowNotFoundException, Asset
from airflow_provider_cc.exceptions import CCAuthError, CCConfigError
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import Database

try:
    from airflow.sdk.execution_time.context import OutletEventAccessors
except ImportError:  # Airflow 2
    from airflow.utils.context import OutletEventAccessors

PASSWORDS = {"softphones": "login_params"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"softphones": "telepathy"}, "softphones must be one of directory, login_params, none"),
        ({"softphones": None}, "softphones must be one of"),
        ({"accounts": ["a"], "accounts_sql": "SELECT 1"}, "Set accounts or accounts_sql, not both"),
        ({"accounts": [], "accounts_sql": "SELECT 1"}, "Set accounts or accounts_sql, not both"),
        ({"accounts_sql": ""}, "accounts_sql is empty"),
        ({"accounts_sql": "  \n"}, "accounts_sql is empty"),
        (PASSWORDS, "requires passwords_conn_id"),
        ({**PASSWORDS, "accounts": ["a"]}, "requires passwords_conn_id"),
        ({"chunk_size": 0}, "chunk_size must be from 1 to 10000"),
        ({"chunk_size": 10_001}, "chunk_size must be from 1 to 10000"),
        ({"min_snapshot_ratio": -0.1}, "min_snapshot_ratio must be from 0 to 1"),
        ({"min_snapshot_ratio": 1.1}, "min_snapshot_ratio must be from 0 to 1"),
        ({"max_rejects": -1}, "max_rejects must be a share"),
        ({"max_rejects": 1.5}, "max_rejects must be a share"),
        ({"table": "a.b.c"}, "Invalid table name"),
        ({"table": ""}, "Invalid table name"),
        ({"history_table": "cc_agent"}, "must differ"),
        ({"reject_table": "CC_AGENT"}, "must differ"),
    ],
)
def test_a_bad_argument_is_refused_before_anything_is_asked(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        sqlite_sync(**arguments)

    assert center.stats.requests() == 0
    assert sqlite_database.tables() == set()


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(Exception, match="tabel"):
        CCAgentsToSqlOperator(task_id="t", sql_conn_id="warehouse", tabel="x")


def test_constructing_needs_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT", raising=False)

    CCAgentsToSqlOperator(task_id="t", sql_conn_id="nowhere", softphones="telepathy", chunk_size=0)


def test_a_database_connection_that_does_not_exist(center: Simulator) -> None:
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        CCAgentsToSqlOperator(task_id="t", sql_conn_id="nowhere").execute({})

    assert center.stats.requests() == 0


def test_a_connection_that_is_no_database(center: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CCConfigError, match="'cc_gateway_default' is not a supported database"):
        CCAgentsToSqlOperator(task_id="t", sql_conn_id="cc_gateway_default").execute({})

    assert center.stats.requests() == 0


def test_what_the_center_needs_is_named_before_a_table_is_made(
    sqlite_database: Database, sqlite_sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT", json.dumps({"conn_type": "cc_management"}))

    with pytest.raises(CCConfigError) as caught:
        sqlite_sync()

    for field in ("host", "app key", "app secret"):
        assert field in str(caught.value)
    assert sqlite_database.tables() == set()


@pytest.mark.parametrize("password", [None, "", "secret-word", '["secret-word"]', '{"account": 7}', "{"])
def test_passwords_that_are_no_json(
    center: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    password: str | None,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PASSWORDS", json.dumps({"conn_type": "generic", "password": password}))

    with pytest.raises(CCConfigError, match="must be JSON of the form") as caught:
        sqlite_sync(softphones="login_params", passwords_conn_id="passwords")

    assert "secret-word" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert center.stats.requests() == 0


def test_a_wrong_app_secret_is_sent_once(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center.settings.app_secret = "another"

    with pytest.raises(CCAuthError):
        sqlite_sync(accounts=[f"account{number}" for number in range(500)], softphones="none")

    assert (center.stats.refused(), center.stats.requests()) == (1, 1)
    assert sqlite_database.query("SELECT finished_at IS NULL, rejected FROM cc_sync_run") == [(1, 0)]


@pytest.mark.parametrize("source", ["accounts", "accounts_sql"])
def test_a_source_that_rendered_to_nothing_is_not_taken_for_the_directory(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, source: str
) -> None:
    operator = CCAgentsToSqlOperator(task_id="t", sql_conn_id="warehouse", **{source: "{{ None }}"})
    setattr(operator, source, None)  # what Airflow does once it has rendered the field

    with pytest.raises(ValueError, match="rendered to None"):
        operator.execute({})

    assert center.stats.requests() == 0


def test_one_of_two_sources_may_render_to_nothing(center: Simulator, sqlite_sync: Sync) -> None:
    operator = CCAgentsToSqlOperator(
        task_id="t", sql_conn_id="warehouse", accounts="{{ params.accounts }}", accounts_sql="{{ None }}"
    )
    operator.accounts, operator.accounts_sql = ["agent000001"], None

    assert operator.execute({})["requested"] == 1


def test_another_connection_id_is_another_center_and_tenant(
    make_center: MakeCenter, database: Database, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    north = make_center(3)
    monkeypatch.setenv("AIRFLOW_CONN_NORTH", north.environment()["AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"])
    make_center(5, seed=8)

    sync(cc_conn_id="north")
    sync()

    assert database.query("SELECT tenant, COUNT(*) FROM cc_agent GROUP BY tenant ORDER BY tenant") == [
        ("cc_management_default", 5),
        ("north", 3),
    ]


def test_without_a_task_instance_no_run_is_taken_up_again(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    for _ in range(2):
        CCAgentsToSqlOperator(task_id="t", sql_conn_id="warehouse").execute({})

    ids = {run_id for (run_id,) in sqlite_database.query("SELECT run_id FROM cc_sync_run")}
    assert len(ids) == 2


def test_an_outlet_that_is_no_asset_does_no_harm(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    asset, other = Asset("cc://agents"), SimpleNamespace(name="a table, as lineage knows it")
    operator = CCAgentsToSqlOperator(task_id="t", sql_conn_id="warehouse")
    operator.outlets = [other, asset]
    events = OutletEventAccessors()

    counts = operator.execute({"outlet_events": events})

    assert events[asset].extra.items() >= counts.items()


def test_the_map_index_is_part_of_the_run(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    for map_index in (0, 1):
        task = SimpleNamespace(run_id="run", map_index=map_index)
        CCAgentsToSqlOperator(task_id="t", sql_conn_id="warehouse").execute({"ti": task})

    assert sqlite_database.query("SELECT run_id, map_index FROM cc_sync_run ORDER BY map_index") == [
        ("run", 0),
        ("run", 1),
    ]
