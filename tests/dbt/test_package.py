"""The dbt package, run as a user does: from a project that names it, on tables that a sync wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.simulator import Simulator
from tests.conftest import CHECKOUT
from tests.docs.pages import blocks
from tests.transfers.conftest import Sync
from tests.transfers.database import Database

#: Airflow and dbt want different releases of the same packages, so dbt has an environment of its own.
DBT = os.environ.get("DBT", str(CHECKOUT / ".venv" / "dbt" / "bin" / "dbt"))
ANN, BOB, CARL = "agent000001", "agent000002", "agent000003"
TENANT = "cc_management_default"
GAP, AFTER = "in a gap that no complete run covers", "after the last complete sync"
#: Which columns of which tables are moments.
MOMENTS = {
    "cc_agent": ("first_seen_at", "changed_at", "synced_at"),
    "cc_agent_history": ("valid_from", "valid_to"),
    "cc_agent_reject": ("rejected_at",),
    "cc_sync_run": ("started_at", "finished_at"),
}


@dataclass(frozen=True)
class Project:
    """A dbt project that uses the package; all that dbt writes is below its folder."""

    folder: Path

    def dbt(self, *arguments: str, succeeds: bool = True) -> str:
        settings = {
            "DBT_PROFILES_DIR": str(self.folder),
            "DBT_PROJECT_DIR": str(self.folder),
            "DO_NOT_TRACK": "1",
            "HOME": str(self.folder),
        }
        command = [DBT, "--no-use-colors", "--warn-error", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=os.environ | settings, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
        return done.stdout

    def results(self, file: str = "run_results") -> dict[str, str]:
        """Return what became of each node in the last run, by its name."""
        told = json.loads((self.folder / "target" / f"{file}.json").read_text())["results"]
        return {result["unique_id"].split(".")[2]: result["status"] for result in told}


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Project:
    """Give the project that the page shows, with a log of calls."""
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    packages, variables = (block.code for block in blocks("yaml") if "dbt.md" in str(block))
    (folder / "packages.yml").write_text(packages.replace("../airflow-provider-cc", str(CHECKOUT)))
    (folder / "dbt_project.yml").write_text(
        f"name: calls\nprofile: warehouse\nflags: {{send_anonymous_usage_stats: false}}\n{variables}"
    )
    models = (block.code for block in blocks("sql", "part") if "dbt.md" in str(block))
    for name, model in zip(("call_log", "call_agent"), models, strict=True):
        (folder / "models" / f"{name}.sql").write_text(model)
    if database.kind == "duckdb":
        target = {"type": "duckdb", "path": database.connection["host"], "schema": "main"}
    else:
        names = {"host": "host", "port": "port", "user": "login"}
        target = {"type": "postgres", "dbname": "postgres", "schema": "public", "password": ""}
        target |= {name: database.connection[field] for name, field in names.items()}
    profile = {"warehouse": {"target": "test", "outputs": {"test": {**target, "threads": 1}}}}
    (folder / "profiles.yml").write_text(json.dumps(profile))
    return Project(folder)


@pytest.fixture
def calls(database: Database, center: Simulator, sync: Sync) -> Sequence[tuple[int, str]]:
    """Two runs, five hours and no time ago, between which agents change; calls, and the verdict on each."""
    settings: dict[str, Any] = {"history_table": "cc_agent_history", "create_views": True}
    number = center.agent(ANN).softphone_number
    sync(accounts=[*center.accounts(), "nobody"], **settings)
    for table, columns in MOMENTS.items():
        moved = ", ".join(f"{column} = {column} - INTERVAL '5 hours'" for column in columns)
        database.execute(f"UPDATE {table} SET {moved}")
    center.change_agent(ANN, softphone_number="555")
    center.change_agent(BOB, softphone_number=number)
    center.remove_agent(CARL)
    sync(**settings)
    sync(**settings)
    edges = "SELECT started_at, finished_at FROM cc_sync_run ORDER BY started_at"
    (begun, ended), (second, _), (third, finished) = database.query(edges)
    hour = timedelta(hours=1)
    log: list[tuple[datetime, str, str]] = [
        (begun - hour, number, GAP),
        (ended + hour, number, GAP),
        (third - (third - second) / 100, number, "exact"),
        (third - (third - second) / 100, "999", "number without an owner"),
        (finished, number, AFTER),
    ]
    database.execute(
        "CREATE TABLE call_records (id INTEGER, called VARCHAR(64), began TIMESTAMP WITH TIME ZONE)"
    )
    database.execute(
        "INSERT INTO call_records VALUES (:id, :called, :began)",
        rows=[{"id": id_, "called": called, "began": began} for id_, (began, called, _) in enumerate(log)],
    )
    return [(id_, verdict) for id_, (_, _, verdict) in enumerate(log)]


@pytest.mark.parametrize("database", ["duckdb", "postgres"], indirect=True)
def test_the_package_on_tables_of_a_sync(
    database: Database, calls: Sequence[tuple[int, str]], project: Project
) -> None:
    project.dbt("deps")
    project.dbt("build")
    assert set(project.results().values()) == {"success", "pass"}
    project.dbt("source", "freshness")

    def rows(table: str, where: str = "") -> list[tuple[Any, ...]]:
        return sorted(database.query(f"SELECT * FROM {table} {where}"), key=repr)

    assert rows("contact_center_changes") == rows("cc_agent_change")
    now = rows("contact_center_agents_as_of")
    assert now == rows("cc_agent_at", "WHERE valid_to > CURRENT_TIMESTAMP")
    assert len(now) == 11
    verdicts = database.query("SELECT call_id, verdict FROM call_agent ORDER BY call_id")
    assert verdicts == calls
    for model, view in (("coverage", "coverage"), ("findings", "finding")):
        assert repr(rows(f"contact_center_{model}")) == repr(rows(f"cc_agent_{view}"))
    print(rows("contact_center_coverage"), rows("contact_center_findings"))
