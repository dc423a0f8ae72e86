"""Syncs in Airflow's metadata database: the state of their tasks and what the tasks returned."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy.orm import Session, aliased

from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.transfers.agents_to_sql import SYNC_KEY
from airflow_provider_cc.ui.advice import advice

#: Number of runs of each sync in the overview, and on the page of one sync.
OVERVIEW_RUNS, SYNC_RUNS = 30, 100

#: Numbers that are read from a task's return value; anything else that a subclass returns is ignored.
_NUMBERS = (*(each.name for each in fields(Counts)), "seconds", "active")


@dataclass(frozen=True)
class Reason:
    """Why accounts were rejected.

    :param reason: ``endpoint: code``
    :param accounts: number of accounts
    :param advice: what to do about it
    """

    reason: str
    accounts: int
    advice: str


@dataclass(frozen=True)
class Target:
    """What a sync writes to.

    :param sql_conn_id: connection to the database
    :param table: the agent table
    :param tenant: part of its key
    """

    sql_conn_id: str
    table: str
    tenant: str


@dataclass(frozen=True)
class Run:
    """One run of a sync: its latest attempt.

    :param dag_id: the DAG
    :param task_id: the task
    :param run_id: the DAG run
    :param map_index: -1 unless the task is mapped
    :param target: what it writes to; ``None`` if it failed before this was known
    :param state: Airflow's state of the task
    :param attempts: number of times that Airflow has started it
    :param started: when its latest attempt began
    :param ended: when it ended
    :param dry_run: whether it wrote nothing
    :param counts: what it returned, by name; empty if it has not succeeded
    :param reject_reasons: the most frequent ones first
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    target: Target | None
    state: str | None
    attempts: int
    started: datetime
    ended: datetime | None
    dry_run: bool
    counts: Mapping[str, float]
    reject_reasons: list[Reason]

    @property
    def wrote(self) -> bool:
        """Whether the run brought the table up to date."""
        return self.state == "success" and not self.dry_run


@dataclass(frozen=True)
class Point:
    """A run in the history of a target.

    :param state: state of the task
    :param started: when its latest attempt began
    :param active: active agents after it; ``None`` if it did not write
    """

    state: str | None
    started: datetime
    active: float | None


@dataclass(frozen=True)
class Status:
    """How up to date a target is.

    :param target: what is written to
    :param latest: its latest run, in any state
    :param synced: its latest run that wrote, if any
    :param history: its runs, newest first
    :param syncs: a run of each sync that writes to it
    """

    target: Target
    latest: Run
    synced: Run | None
    history: list[Point]
    syncs: list[Run]


def dags_with_syncs(session: Session, dag_id: str | None = None) -> set[str]:
    """Return the IDs of the DAGs that have a sync.

    :param session: session of the metadata database
    :param dag_id: consider only this DAG
    """
    # The key of an XCom is indexed, but not the operator of a task instance; and a subclass has another name.
    syncs = sa.select(XComModel.dag_id).where(XComModel.key == SYNC_KEY).distinct()
    return set(session.scalars(syncs if dag_id is None else syncs.where(XComModel.dag_id == dag_id)))


def latest_runs(
    session: Session,
    dag_ids: Collection[str],
    each: int,
    task_id: str | None = None,
    map_index: int | None = None,
) -> list[Run]:
    """Return the latest runs of each sync, with one query, newest first.

    :param session: session of the metadata database
    :param dag_ids: the DAGs to consider
    :param each: number of runs of each sync; for a mapped task, of each map index
    :param task_id: only syncs with this task ID
    :param map_index: only those with this map index
    """
    if not dag_ids:
        return []
    xcom, ti = XComModel, TaskInstance
    sync = (
        sa.select(xcom.dag_id, xcom.task_id)
        .where(xcom.key == SYNC_KEY, xcom.dag_id.in_(dag_ids))
        .distinct()
        .subquery()
    )
    chosen = sa.and_(
        ti.start_date.is_not(None),
        sa.true() if task_id is None else ti.task_id == task_id,
        sa.true() if map_index is None else ti.map_index == map_index,
    )
    place = sa.func.row_number().over(
        partition_by=(ti.dag_id, ti.task_id, ti.map_index), order_by=ti.start_date.desc()
    )
    names = ("dag_id", "task_id", "run_id", "map_index", "state", "try_number", "start_date", "end_date")
    ranked = (
        sa.select(*(getattr(ti, name) for name in names), place.label("place"))
        .join(sync, sa.and_(sync.c.dag_id == ti.dag_id, sync.c.task_id == ti.task_id))
        .where(chosen)
        .subquery()
    )
    told, returned = aliased(xcom), aliased(xcom)

    def has(xcom: Any, key: str) -> Any:
        return sa.and_(xcom.key == key, *(getattr(xcom, name) == ranked.c[name] for name in names[:4]))

    rows = session.execute(
        sa.select(
            *(ranked.c[name] for name in names),
            told.value.label("told"),
            returned.value.label("returned"),
        )
        .outerjoin(told, has(told, SYNC_KEY))
        .outerjoin(returned, has(returned, "return_value"))
        .where(ranked.c.place <= each)
        .order_by(ranked.c.start_date.desc())
    )
    return [_run(row) for row in rows]


def by_target(runs: Iterable[Run]) -> list[Status]:
    """Return the status of each target, sorted by name.

    :param runs: newest first; a run whose target is unknown is grouped with the other runs of its sync
    """
    runs = list(runs)
    known = {_sync(run): run.target for run in reversed(runs) if run.target}
    found: dict[Target, list[Run]] = {}
    for run in runs:
        if target := run.target or known.get(_sync(run)):
            found.setdefault(target, []).append(run)
    return [
        _status(target, found[target])
        for target in sorted(found, key=lambda each: (each.table, each.tenant, each.sql_conn_id))
    ]


def _status(target: Target, runs: list[Run]) -> Status:
    syncs = {_sync(run): run for run in reversed(runs)}
    return Status(
        target=target,
        latest=runs[0],
        synced=next((run for run in runs if run.wrote), None),
        history=[
            Point(run.state, run.started, run.counts.get("active") if run.wrote else None)
            for run in runs[:OVERVIEW_RUNS]
        ],
        syncs=[syncs[sync] for sync in sorted(syncs)],
    )


def _sync(run: Run) -> tuple[str, str, int]:
    return run.dag_id, run.task_id, run.map_index


def _run(row: Any) -> Run:
    told, returned = _dictionary(row.told), _dictionary(row.returned)
    names = [told.get(each.name) for each in fields(Target)]
    return Run(
        dag_id=row.dag_id,
        task_id=row.task_id,
        run_id=row.run_id,
        map_index=row.map_index,
        target=Target(*map(str, names)) if all(names) else None,
        state=row.state,
        attempts=row.try_number,
        started=row.start_date,
        ended=row.end_date,
        dry_run=bool(told.get("dry_run")),
        counts={name: returned[name] for name in _NUMBERS if type(returned.get(name)) in (int, float)},
        reject_reasons=list(_reasons(returned.get("reject_reasons"))),
    )


def _dictionary(value: Any) -> dict[str, Any]:
    """Return the value of an XCom; empty if it is not a dictionary, or stored outside the database."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _reasons(found: Any) -> Iterator[Reason]:
    if isinstance(found, dict):
        for reason, accounts in found.items():
            if type(accounts) is int:
                yield Reason(reason, accounts, advice(reason))
