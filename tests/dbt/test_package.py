"""The dbt package, run as a user does: from a project that names it, on tables that a sync wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.simulator import Simulator
from tests.conftest import CHECKOUT
from tests.docs.pages import blocks, section
from tests.transfers.conftest import Sync
from tests.transfers.database import Database

#: Airflow and dbt want different releases of the same packages, so dbt has an environment of its own.
DBT = CHECKOUT / ".venv" / "dbt" / "bin" / "dbt"
ANN, BOB, CARL, DORA = "agent000001", "agent000002", "agent000003", "agent000004"
TABLES = {
    "table": "dwh.cc_agent",
    "history_table": "dwh.cc_agent_history",
    "reject_table": "dwh.cc_agent_reject",
    "run_table": "dwh.cc_sync_run",
}
#: Which columns of them are moments.
MOMENTS = {
    "table": ("first_seen_at", "changed_at", "synced_at"),
    "history_table": ("valid_from", "valid_to"),
    "reject_table": ("rejected_at",),
    "run_table": ("started_at", "finished_at"),
}
#: Calls that name an agent ID, which the page has no snippet for.
CALLS_BY_ID = (
    "SELECT id AS call_id, 'cc_management_default' AS tenant, began AS started_at, agent_id FROM call_records"
)
BY_ID = "{{ contact_center.attributed_calls(ref('calls_by_id'), called='agent_id') }}"


@dataclass(frozen=True)
class Project:
    """A dbt project that uses the package; all that dbt writes is below its folder."""

    folder: Path

    def dbt(self, *arguments: str, succeeds: bool = True) -> None:
        settings = {"DBT_PROFILES_DIR": str(self.folder), "DO_NOT_TRACK": "1", "HOME": str(self.folder)}
        done = subprocess.run(
            [DBT, "--no-use-colors", "--warn-error", *arguments],
            cwd=self.folder,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == succeeds, done.stdout + done.stderr

    def failed(self, results: str) -> set[str]:
        """Return what failed in the last run, without what was therefore skipped."""
        told = json.loads((self.folder / "target" / results).read_text())["results"]
        return {each["unique_id"] for each in told if each["status"] in ("fail", "error")}


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Project:
    """Give the project that the page shows."""
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    packages, variables, contract = (block.code for block in blocks("yaml", "dbt"))
    call_log, call_agent = (block.code for block in blocks("sql", "dbt"))
    if database.kind == "duckdb":
        target = {"type": "duckdb", "path": database.connection["host"], "schema": "main"}
    else:
        names = {"host": "host", "port": "port", "user": "login"}
        target = {"type": "postgres", "dbname": "postgres", "schema": "public", "password": ""}
        target |= {name: database.connection[field] for name, field in names.items()}
    profile = {"warehouse": {"target": "test", "outputs": {"test": {**target, "threads": 1}}}}
    flags = {"send_anonymous_usage_stats": False}
    for name, content in {
        "packages.yml": packages.replace("../airflow-provider-cc", str(CHECKOUT)),
        "dbt_project.yml": f"name: calls\nprofile: warehouse\nflags: {flags}\n{variables}",
        "profiles.yml": json.dumps(profile),
        "models/models.yml": contract,
        "models/call_log.sql": call_log,
        "models/call_agent.sql": call_agent,
        "models/calls_by_id.sql": CALLS_BY_ID,
        "models/call_agent_by_id.sql": BY_ID,
    }.items():
        (folder / name).write_text(content)
    return Project(folder)


@pytest.fixture
def verdicts(database: Database, center: Simulator, sync: Sync) -> list[tuple[int, str]]:
    """Sync five hours ago and twice now, with changes in between; return calls, and the verdict on each."""
    number, bobs_id = center.agent(ANN).softphone_number, center.agent(BOB).agent_id
    database.execute("CREATE SCHEMA dwh")
    sync(accounts=[*center.accounts(), "nobody"], create_views=True, **TABLES)
    for argument, columns in MOMENTS.items():
        moved = ", ".join(f"{column} = {column} - INTERVAL '5 hours'" for column in columns)
        database.execute(f"UPDATE {TABLES[argument]} SET {moved}")
    center.change_agent(ANN, softphone_number="555")
    center.change_agent(BOB, softphone_number=number)
    center.change_agent(DORA, softphone_number="555")
    center.remove_agent(CARL)
    sync(**TABLES)
    sync(**TABLES)
    (first, ended), (second, _), (third, finished) = runs(database)
    hour, between = timedelta(hours=1), third - (third - second) / 100
    calls = [
        (first - hour, number, "in a gap that no complete run covers"),
        (ended + hour, number, "in a gap that no complete run covers"),
        (between, number, "exact"),
        (between, "555", "two owners in the window"),
        (between, "999", "number without an owner"),
        (finished, number, "after the last complete sync"),
    ]
    database.execute(
        "CREATE TABLE call_records"
        " (id INTEGER, called VARCHAR(64), began TIMESTAMP WITH TIME ZONE, agent_id INTEGER)"
    )
    rows = [{"id": id_, "called": called, "began": began} for id_, (began, called, _) in enumerate(calls)]
    database.execute(f"INSERT INTO call_records VALUES (:id, :called, :began, {bobs_id})", rows=rows)
    return [(id_, verdict) for id_, (_, _, verdict) in enumerate(calls)]


def runs(database: Database) -> list[tuple[datetime, datetime]]:
    return database.query("SELECT started_at, finished_at FROM dwh.cc_sync_run ORDER BY started_at")


def rows(database: Database, table: str, where: str = "") -> list[tuple[Any, ...]]:
    def plain(value: Any) -> Any:
        return float(value) if isinstance(value, Decimal) else value

    found = database.query(f"SELECT * FROM {table} {where}")
    return sorted((tuple(map(plain, row)) for row in found), key=repr)


@pytest.mark.parametrize("database", ["duckdb", "postgres"], indirect=True)
def test_what_is_right_passes_and_what_is_wrong_fails(
    database: Database, verdicts: list[tuple[int, str]], project: Project
) -> None:
    moment = str(runs(database)[0][1] + timedelta(hours=1))
    project.dbt("deps")
    project.dbt("build", "--vars", json.dumps({"cc_as_of": moment}))
    project.dbt("source", "freshness")

    for model, view in {"changes": "change", "coverage": "coverage", "findings": "finding"}.items():
        expected = rows(database, f"dwh.cc_agent_{view}")
        assert expected
        assert rows(database, f"contact_center_{model}") == expected
    then = rows(database, "contact_center_agents_as_of")
    assert then == rows(
        database, "dwh.cc_agent_at", f"WHERE valid_from <= '{moment}' AND valid_to > '{moment}'"
    )
    assert len(then) == 12
    assert database.query("SELECT call_id, verdict FROM call_agent ORDER BY call_id") == verdicts
    by_id = database.query("SELECT account, verdict FROM call_agent_by_id WHERE call_id = 2")
    assert by_id == [(BOB, "exact")]

    # The query of the page and that of the macro are one.
    compiled = (project.folder / "target/compiled/calls/models/call_agent.sql").read_text()
    query = section("docs/attribution.md", "## The query").partition("AS\n")[2].partition("```")[0]
    bare = re.sub(r'"\w+"\."\w+"\."(\w+)"', r"\1", compiled)
    assert bare.split() == query.replace("'cc_management_default' AS tenant", "tenant").split()

    database.execute(
        f"INSERT INTO dwh.cc_agent_history (tenant, account, valid_from)"
        f" SELECT tenant, account, valid_from - INTERVAL '1 hour' FROM dwh.cc_agent_history"
        f" WHERE account = '{ANN}' AND valid_to IS NULL",
        "INSERT INTO dwh.cc_agent_history (tenant, account, valid_from) VALUES ('t', 'orphan', '2026-01-01')",
        "UPDATE dwh.cc_sync_run SET tenant = 'stopped' WHERE source = 'accounts'",
    )
    contract = project.folder / "models" / "models.yml"
    contract.write_text(
        contract.read_text().replace("agent_id, data_type: integer", "agent_id, data_type: text")
    )
    project.dbt("build", succeeds=False)
    names = {
        name.split(".")[2].partition("_contact_center")[0] for name in project.failed("run_results.json")
    }
    assert names == {"source_key_is_in", "source_no_overlapping_versions", "unique_key", "call_agent"}
    project.dbt("source", "freshness", succeeds=False)
    assert project.failed("sources.json") == {"source.contact_center.contact_center.agent_coverage"}
