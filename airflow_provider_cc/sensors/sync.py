"""The sensor for the sync."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cc.compat import PokeReturnValue
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.sensors.base import BaseSensor
from airflow_provider_cc.sync import metrics
from airflow_provider_cc.sync.database import database_of
from airflow_provider_cc.sync.dialects import Dialect
from airflow_provider_cc.sync.schema import LATER_COLUMNS, check, ledger

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context, XComArg


class CCSyncFreshnessSensor(BaseSensor):
    """Waits until the last successful run of a sync is recent enough.

    A run is successful if it ended without an error. Its age is measured from its ``started_at``, because no
    row that it read is older. Returns a dict with ``dag_id``, ``task_id``, ``run_id``, ``started_at`` and
    ``finished_at`` (ISO 8601, UTC) of that run.

    :param sql_conn_id: connection to the database (templated)
    :param max_age: maximum age of the run
    :param tenant: the sync's ``tenant``; by default, its connection ID (templated)
    :param sync_dag_id: consider only runs of this DAG (templated)
    :param sync_task_id: consider only runs of this task (templated)
    :param run_table: the run log; may be ``schema.name`` (templated)
    """

    template_fields: Sequence[str] = ("sql_conn_id", "tenant", "sync_dag_id", "sync_task_id", "run_table")

    def __init__(
        self,
        *,
        sql_conn_id: str,
        max_age: timedelta,
        tenant: str | XComArg = CCManagementHook.default_conn_name,
        sync_dag_id: str | None = None,
        sync_task_id: str | None = None,
        run_table: str = "cc_sync_run",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.max_age = max_age
        self.tenant: Any = tenant
        self.sync_dag_id = sync_dag_id
        self.sync_task_id = sync_task_id
        self.run_table = run_table

    def poke(self, context: Context) -> PokeReturnValue:
        """Read the run log once.

        :raises CCConfigError: the database is not supported, or the table is not a run log
        """
        with closing(database_of(self.sql_conn_id)) as database:  # none stays open until the next poke
            last = database.transaction(partial(self._last_run, database.dialect))
        if last is None:
            self.log.info("%s has no successful run for %r yet.", self.run_table, self.tenant)
            return PokeReturnValue(False)
        run, age = last
        metrics.freshness(
            run["started_at"], age, metrics.tags(run["dag_id"], run["task_id"], str(self.tenant))
        )
        self.log.info("The last successful run for %r began %s ago: %s.", self.tenant, age, run["run_id"])
        moments = {name: run[name].isoformat() for name in ("started_at", "finished_at")}
        return PokeReturnValue(age <= self.max_age, {**run, **moments})

    def _last_run(
        self, dialect: Dialect, connection: sa.engine.Connection
    ) -> tuple[dict[str, Any], timedelta] | None:
        """Return the last successful run and its age by the database's clock; ``None`` if there is none."""
        run = ledger(self.run_table)
        if not sa.inspect(connection).has_table(run.name, schema=run.schema):
            return None
        check(connection, dialect, [run], may_lack=LATER_COLUMNS)  # which the next sync adds
        wanted = {"tenant": self.tenant, "dag_id": self.sync_dag_id, "task_id": self.sync_task_id}
        last = connection.execute(
            sa.select(run.c.dag_id, run.c.task_id, run.c.run_id, run.c.started_at, run.c.finished_at)
            .where(run.c.finished_at.is_not(None), run.c.error.is_(None))
            .where(*(run.c[name] == value for name, value in wanted.items() if value is not None))
            .order_by(run.c.started_at.desc())
            .limit(1)
        ).first()
        return None if last is None else (dict(last._mapping), dialect.now(connection) - last.started_at)
