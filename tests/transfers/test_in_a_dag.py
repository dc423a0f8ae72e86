"""The operators in a DAG, run once by Airflow itself; each test looks at one thing that came of it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.simulator import Agent, Settings, Simulator
from scripts.airflow_home import AirflowHome, Run
from tests.transfers.database import Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Outcome:
    """What is there to look at after the run.

    :param run: what Airflow says of it
    :param metadata_file: Airflow's own database
    :param database: what the sync wrote
    :param agents: everybody in the contact center, by account
    :param secrets: what must be nowhere
    :param asked: how often the contact center was asked for its directory
    """

    run: Run
    metadata_file: Path
    database: Database
    agents: dict[str, Agent]
    secrets: set[str]
    asked: int

    def returned(self, task_id: str, map_index: int = -1) -> Any:
        return self.run.xcoms[task_id, map_index]

    def metadata(self, sql: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.metadata_file)) as connection:
            return connection.execute(sql).fetchall()

    def rendered(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return the fields as the web interface shows them."""
        ((fields,),) = self.metadata(
            "SELECT rendered_fields FROM rendered_task_instance_fields"
            f" WHERE task_id = '{task_id}' AND map_index = {map_index}"
        )
        return dict(json.loads(fields))

    def leaked(self, text: object) -> list[str]:
        return [secret for secret in self.secrets if secret in str(text)]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Outcome:
    """Run the DAG."""
    folder = tmp_path_factory.mktemp("in_a_dag")
    path = folder / "warehouse.sqlite"
    database = Database(f"sqlite:///{path}", {"conn_type": "sqlite", "host": str(path)})
    with Simulator(Settings(agents=12, seed=7)) as center:
        agents = {account: center.agent(account) for account in center.accounts()}
        signs_in = agents["agent000002"]
        gateway = center.connections()["cc_gateway_default"]
        connections = {
            "warehouse": database.connection,
            "agent_000002": {
                "conn_type": "cc_agent",
                "login": signs_in.account,
                "password": signs_in.password,
            },
            "gateway_shared": {**gateway, "extra": {**gateway["extra"], "share_session": True}},
        }
        environment = {
            **center.environment(),
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
        }
        airflow = AirflowHome(folder / "airflow", environment, dags=Path(__file__).parent / "dags")
        airflow.migrate(template=migrated_database)
        with airflow.one_process():
            if version("apache-airflow").startswith(("2.", "3.0.")):
                airflow.airflow("dags", "reserialize")  # these know only the assets that they have met
            run = airflow.run_dag("operators")
        secrets = {value for it in agents.values() for value in (it.password, it.agent_password)}
        secrets |= {it.sip_password for it in agents.values() if it.sip_password}
        asked = center.stats.requests("agentAccount/query")
        return Outcome(run, airflow.database, database, agents, secrets | center.secrets(), asked)


def test_every_task_but_the_wrong_one_succeeds(outcome: Outcome) -> None:
    others = {key: state for key, state in outcome.run.tasks.items() if state != "success"}

    assert others == {("sync_nothing", -1): "failed"}, outcome.run.log


# What comes in


def test_account_codes_from_upstream_are_synced_as_they_are(outcome: Outcome) -> None:
    counts = outcome.returned("sync_list")

    assert (counts["requested"], counts["duplicates"], counts["synced"], counts["rejected"]) == (13, 1, 10, 2)
    rejected = outcome.database.query("SELECT account FROM cc_agent_reject WHERE task_id = 'sync_list'")
    assert sorted(rejected) == [("nobody.sql",), ("{{ 7 * 7 }}",)]


def test_account_codes_come_from_a_mapped_upstream_task(outcome: Outcome) -> None:
    assert outcome.returned("sync_mapped_upstream")["synced"] == 3
    assert [row["account"] for row in outcome.returned("info_mapped_upstream")] == [
        "agent000006",
        "agent000007",
    ]


def test_an_empty_list_from_upstream_is_a_run_of_none(outcome: Outcome) -> None:
    assert outcome.returned("sync_nobody")["requested"] == 0


def test_no_list_from_upstream_is_not_taken_for_the_directory(outcome: Outcome) -> None:
    assert ("sync_nothing", -1) not in outcome.run.xcoms
    assert "rendered to None" in outcome.run.log
    assert outcome.asked == 0


@pytest.mark.parametrize(("map_index", "synced"), [(0, 2), (1, 1)])
def test_the_sync_can_be_expanded(outcome: Outcome, map_index: int, synced: int) -> None:
    assert outcome.returned("sync_expanded", map_index)["synced"] == synced
    ledger = f"SELECT synced FROM cc_sync_run WHERE task_id = 'sync_expanded' AND map_index = {map_index}"
    assert outcome.database.query(ledger) == [(synced,)]


def test_the_operators_can_be_expanded(outcome: Outcome) -> None:
    assert [len(outcome.returned("info_expanded", index)) for index in (0, 1)] == [2, 1]
    assert outcome.returned("login_params_expanded", 0) == outcome.returned("login_params")


def test_templates_are_rendered(outcome: Outcome) -> None:
    assert outcome.database.query("SELECT COUNT(*) FROM cc_agent WHERE tenant = 'north'") == [(10,)]
    assert outcome.database.query("SELECT COUNT(*) FROM cc_north_history") == [(10,)]
    assert outcome.returned("sync_query")["synced"] == 1
    good, bad = outcome.returned("info_list")
    assert (good["account"], bad["account"], bad["code"]) == ("agent000002", "north", "no_agent")


def test_a_run_is_entered_under_its_task_instance(outcome: Outcome) -> None:
    ((run_id,),) = outcome.metadata("SELECT run_id FROM dag_run")

    assert outcome.database.query(
        "SELECT dag_id, run_id, map_index, tenant FROM cc_sync_run WHERE task_id = 'sync_list'"
    ) == [("operators", run_id, -1, "north")]


# What goes out


def test_a_text_from_upstream_is_one_account(outcome: Outcome) -> None:
    agent = outcome.agents["agent000007"]

    assert outcome.returned("info") == [
        {
            "account": agent.account,
            "agent_id": agent.agent_id,
            "agent_type": agent.agent_type,
            "agent_status": agent.agent_status,
        }
    ]


def test_softphones_come_as_rows(outcome: Outcome) -> None:
    (row,) = outcome.returned("login_params")

    assert row["softphone_number"] == outcome.agents["agent000002"].softphone_number
    assert [server["host"] for server in row["sip_servers"]] == ["10.10.10.11", "10.10.10.12"]
    assert outcome.returned("login_info", 0) == {
        "agent_id": outcome.agents["agent000000"].agent_id,
        "softphone_number": outcome.agents["agent000000"].softphone_number,
    }


def test_a_sign_in_says_whether_others_can_use_it(outcome: Outcome) -> None:
    assert outcome.returned("config_login", 0)["shared"] is True
    assert outcome.returned("isales_login")["shared"] is False


def test_a_shared_session_is_kept_as_ciphertext(outcome: Outcome) -> None:
    kept = dict(outcome.metadata("SELECT key, val FROM variable"))

    assert set(kept) == {"cc_token__gateway_shared"}
    assert not outcome.leaked(kept)


@pytest.mark.parametrize(
    ("task_id", "map_index", "shown"),
    [
        ("sync_list", -1, "(13 accounts)"),
        ("sync_mapped_upstream", -1, "(3 accounts)"),
        ("sync_nobody", -1, "(0 accounts)"),
        ("sync_expanded", 0, "(2 accounts)"),
    ],
)
def test_the_account_codes_show_as_a_number(
    outcome: Outcome, task_id: str, map_index: int, shown: str
) -> None:
    fields = outcome.rendered(task_id, map_index)

    assert fields["accounts"] == shown
    assert "agent0000" not in json.dumps(fields)


def test_the_query_shows_as_it_was_sent(outcome: Outcome) -> None:
    assert outcome.rendered("sync_query")["accounts_sql"].startswith("SELECT 'agent000002' /* ")


def test_the_counts_go_out_with_the_asset_event(outcome: Outcome) -> None:
    """A rehearsal has the same outlet, and updates nothing."""
    names = {name for (name,) in outcome.metadata("SELECT name FROM sqlite_master")}
    table = "asset_event" if "asset_event" in names else "dataset_event"

    events = [json.loads(extra) for (extra,) in outcome.metadata(f"SELECT extra FROM {table}")]

    counts = outcome.returned("sync_list")
    assert outcome.returned("rehearsal")["added"] > 0
    assert [{name: event[name] for name in counts} for event in events] == [counts]
    run = outcome.database.query("SELECT run_key, tenant FROM cc_sync_run WHERE task_id = 'sync_list'")
    assert [(event["run_key"], event["tenant"]) for event in events] == run
    assert [event["table"] for event in events] == ["cc_agent"]


@pytest.mark.parametrize(
    ("task_id", "map_index", "tenant", "dry_run"),
    [
        ("sync_list", -1, "north", False),
        ("sync_expanded", 1, "cc_management_default", False),
        ("rehearsal", -1, "cc_management_default", True),
        ("sync_nothing", -1, "cc_management_default", False),  # which fails
    ],
)
def test_a_run_says_before_it_begins_what_it_writes_to(
    outcome: Outcome, task_id: str, map_index: int, tenant: str, dry_run: bool
) -> None:
    ((told,),) = outcome.metadata(
        f"SELECT value FROM xcom WHERE key = 'cc_sync' AND task_id = '{task_id}' AND map_index = {map_index}"
    )

    expected = {"sql_conn_id": "warehouse", "table": "cc_agent", "tenant": tenant, "dry_run": dry_run}
    assert json.loads(told) == expected


def test_no_secret_is_left_anywhere(outcome: Outcome) -> None:
    files = [path for path in outcome.metadata_file.parent.rglob("*") if path.is_file()]

    assert {"airflow.db", "airflow.log"} <= {path.name for path in files}
    for path in files:
        lines = path.read_bytes().decode(errors="replace").splitlines()
        # Airflow 3.0 itself logs, when it tests a DAG, what it is asked to mask.
        assert not outcome.leaked("\n".join(line for line in lines if "MaskSecret(" not in line))
    assert not outcome.leaked(outcome.database.dump())
