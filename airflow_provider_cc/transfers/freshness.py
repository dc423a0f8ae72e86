"""How old is the table? The ledger says when its last good run began."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from airflow_provider_cc.transfers.tables import check, database_now, ledger
from airflow_provider_cc.transfers.warehouse import transaction


@dataclass(frozen=True)
class LastRun:
    """The last run that went well.

    :param dag_id: DAG of the sync
    :param task_id: its task
    :param run_id: DAG run
    :param started_at: when it began: no row that it read is older
    :param finished_at: when it ended
    :param age: time since it began, by the database's clock, which also stamped it
    """

    dag_id: str
    task_id: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    age: timedelta


def last_good_run(
    engine: sa.engine.Engine, run_table: str, tenant: str, dag_id: str | None, task_id: str | None
) -> LastRun | None:
    """Return the last run that ended, and ended well; ``None`` before the first, without a ledger, too.

    :param engine: of the database, made by :func:`airflow_provider_cc.transfers.warehouse.engine_of`
    :param run_table: name of the ledger
    :param tenant: whose runs
    :param dag_id: only those of a DAG
    :param task_id: only those of a task
    :raises ValueError: ``run_table`` is no table name
    :raises CCConfigError: that table is no ledger
    """
    run = ledger(run_table)
    columns = [run.c.dag_id, run.c.task_id, run.c.run_id, run.c.started_at, run.c.finished_at]
    wanted = {"tenant": tenant, "dag_id": dag_id, "task_id": task_id}
    query = (
        sa.select(*columns)
        .where(run.c.finished_at.is_not(None), run.c.error.is_(None))
        .where(*(run.c[name] == value for name, value in wanted.items() if value is not None))
        .order_by(run.c.started_at.desc())
        .limit(1)
    )

    def work(connection: sa.engine.Connection) -> LastRun | None:
        if not sa.inspect(connection).has_table(run.name, schema=run.schema):
            return None
        check(connection, [run])
        row = connection.execute(query).first()
        if row is None:
            return None
        return LastRun(**row._mapping, age=database_now(connection) - row.started_at)

    return transaction(engine, work)
