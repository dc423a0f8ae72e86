"""Runs of the sync at the level of answers, for tests of what becomes of them in a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.apply import Application
from airflow_provider_cc.sync.columns import AGENT_COLUMNS
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import Database, database_of
from airflow_provider_cc.sync.ledger import Ledger
from airflow_provider_cc.sync.schema import Tables, define, prepare
from airflow_provider_cc.sync.stage import Staging

NAMES = [column.name for column in AGENT_COLUMNS]


class Bench:
    """Runs of several DAGs on the same tables, each staged and applied when the test says so."""

    def __init__(self, conn_id: str = "warehouse", history: bool = True) -> None:
        self.database: Database = database_of(conn_id)
        self.tables: Tables = define(
            AGENT_COLUMNS,
            "cc_agent",
            "cc_agent_history" if history else None,
            "cc_agent_reject",
            "cc_sync_run",
        )
        prepare(self.database, self.tables)

    def run(self, dag_id: str, delivered: Sequence[str], tenant: str = "north") -> tuple[Ledger, Staging]:
        key = {"dag_id": dag_id, "task_id": "t", "run_id": "r", "map_index": -1, "tenant": tenant}
        ledger = Ledger(self.database, self.tables, key, "here")
        ledger.begin("accounts")
        return ledger, Staging(self.database, self.tables, ledger, delivered)

    def apply(self, ledger: Ledger, delivered: Sequence[str], answers: Sequence[Answer]) -> Counts:
        synced = sum(answer.outcome == "row" for answer in answers)
        counts = Counts(requested=len(answers), unique=len(answers), synced=synced)
        counts.rejected = len(answers) - synced
        Application(self.database, self.tables, ledger, delivered).apply(counts, 0.0)
        return counts

    def held(self, tenant: str = "north") -> tuple[dict[str, Any], dict[str, Any]]:
        agent, history = self.tables.agent, self.tables.history
        assert history is not None
        with self.database.engine.connect() as connection:
            agents = {
                row["account"]: (
                    tuple(row[name] for name in NAMES),
                    bool(row["is_active"]),
                    *(row[name] for name in ("first_seen_at", "changed_at", "synced_at")),
                )
                for row in connection.execute(sa.select(agent).where(agent.c.tenant == tenant)).mappings()
            }
            versions: dict[str, list[list[Any]]] = {}
            ordered = sa.select(history).where(history.c.tenant == tenant).order_by(history.c.valid_from)
            for row in connection.execute(ordered).mappings():
                version = [tuple(row[name] for name in NAMES), row["valid_from"], row["valid_to"]]
                versions.setdefault(row["account"], []).append(version)
        return agents, versions

    def sync(self, dag_id: str, values: dict[str, Any], tenant: str = "north") -> Counts:
        """Run one sync of agent IDs from beginning to end.

        :param dag_id: the DAG
        :param values: account → agent ID, or ``None`` for one that is gone
        :param tenant: the tenant
        """
        ledger, staging = self.run(dag_id, ["agent_id"], tenant)
        answers = [
            Answer(account, "gone", staging.now())
            if value is None
            else Answer(account, "row", staging.now(), (value,))
            for account, value in values.items()
        ]
        staging.append(answers, Counts())
        return self.apply(ledger, ["agent_id"], answers)
