"""Rows of Airflow's metadata database, as runs of syncs leave them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session

MODELS = (XComModel, TaskInstance, DagRun, DagModel, DagBundleModel)
COUNTS = {"requested": 1000, "synced": 990, "added": 3, "changed": 5, "deactivated": 2, "rejected": 10}
NEVER = datetime(2026, 11, 1, tzinfo=UTC)

_numbers = itertools.count(1)


@dataclass(frozen=True)
class TaskRun:
    """A task instance.

    :param dag_id: its DAG
    :param hours: when it began, after :data:`NEVER`
    :param told: the XCom of before the run; none if it failed before
    :param returned: what it returned, if it did
    """

    dag_id: str
    hours: float
    task_id: str = "sync"
    map_index: int = -1
    state: str = "success"
    attempts: int = 1
    told: Any = field(default_factory=dict)
    returned: Any = None
    operator: str = "CCAgentsToSqlOperator"

    @property
    def started(self) -> datetime:
        """When it began."""
        return NEVER + timedelta(hours=self.hours)


def target(tenant: str, **more: Any) -> dict[str, Any]:
    """Return what a sync says before it runs."""
    return {"sql_conn_id": "warehouse", "table": "cc_agent", "tenant": tenant, "dry_run": False, **more}


def result(**more: Any) -> dict[str, Any]:
    """Return what a sync returns."""
    return {**COUNTS, "seconds": 12.5, "active": 992, "reject_reasons": {}, **more}


def clear() -> None:
    """Remove all rows."""
    with create_session(scoped=False) as session:
        for model in MODELS:
            session.execute(sa.delete(model))


def insert(runs: Iterable[TaskRun]) -> None:
    """Insert runs, and their DAGs.

    :param runs: at most one of each task, map index and hour
    """
    runs = list(runs)
    ids: dict[tuple[str, float], int] = {}
    for run in runs:
        ids.setdefault((run.dag_id, run.hours), next(_numbers))
    keys = [
        {
            "dag_id": run.dag_id,
            "task_id": run.task_id,
            "run_id": _run_id(run.hours),
            "map_index": run.map_index,
        }
        for run in runs
    ]
    with create_session(scoped=False) as session:
        known = set(session.scalars(sa.select(DagModel.dag_id)))
        if not session.get(DagBundleModel, "bundle"):
            session.execute(sa.insert(DagBundleModel), [{"name": "bundle"}])
        if new := {run.dag_id for run in runs} - known:
            session.execute(sa.insert(DagModel), [_dag(dag_id) for dag_id in sorted(new)])
        session.execute(
            sa.insert(DagRun),
            [
                {
                    "id": number,
                    "dag_id": dag_id,
                    "run_id": _run_id(hours),
                    "run_type": "scheduled",
                    "run_after": NEVER + timedelta(hours=hours),
                    "log_template_id": None,
                }
                for (dag_id, hours), number in ids.items()
            ],
        )
        session.execute(
            sa.insert(TaskInstance),
            [
                {
                    **key,
                    "state": run.state,
                    "try_number": run.attempts,
                    "start_date": run.started,
                    "end_date": None if run.state == "running" else run.started + timedelta(seconds=60),
                    "pool": "default_pool",
                    "operator": run.operator,
                }
                for key, run in zip(keys, runs, strict=True)
            ],
        )
        xcoms = [
            {**key, "dag_run_id": ids[run.dag_id, run.hours], "key": name, "value": value}
            for key, run in zip(keys, runs, strict=True)
            for name, value in (("cc_sync", run.told), ("return_value", run.returned))
            if value
        ]
        session.execute(sa.insert(XComModel), xcoms)


def _run_id(hours: float) -> str:
    return f"scheduled__{NEVER + timedelta(hours=hours):%Y-%m-%dT%H:%M:%S+00:00}"


def _dag(dag_id: str) -> dict[str, Any]:
    limits = {"max_active_tasks": 16, "max_active_runs": 16, "max_consecutive_failed_dag_runs": 0}
    return {
        "dag_id": dag_id,
        "bundle_name": "bundle",
        "fileloc": "dags.py",
        "has_task_concurrency_limits": False,
        **limits,
    }
