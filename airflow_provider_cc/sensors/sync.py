"""The sensor for the sync."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.compat import PokeReturnValue
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.sensors.base import BaseSensor
from airflow_provider_cc.sync.database import database_of
from airflow_provider_cc.sync.ledger import last_good_run

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
            last = last_good_run(database, self.run_table, self.tenant, self.sync_dag_id, self.sync_task_id)
        if last is None:
            self.log.info("%s has no successful run for %r yet.", self.run_table, self.tenant)
            return PokeReturnValue(False)
        self.log.info("The last successful run for %r began %s ago: %s.", self.tenant, last.age, last.run_id)
        run = {
            "dag_id": last.dag_id,
            "task_id": last.task_id,
            "run_id": last.run_id,
            "started_at": last.started_at.isoformat(),
            "finished_at": last.finished_at.isoformat(),
        }
        return PokeReturnValue(last.age <= self.max_age, run)
