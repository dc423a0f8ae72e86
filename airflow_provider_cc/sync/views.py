"""Views that answer questions from the tables: who was who, what changed, what to trust, what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import DDLElement

from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.sync.database import Database
from airflow_provider_cc.sync.dialects.base import Dialect
from airflow_provider_cc.sync.schema import Tables, is_there

#: An active agent is a finding if its last answer is this many days older than the tenant's latest answer.
DAYS = 1


class CreateView(DDLElement):
    """``CREATE VIEW``.

    :param view: name and schema
    :param query: the query that defines it
    """

    inherit_cache = False

    def __init__(self, view: Any, query: Any) -> None:
        self.view = view
        self.query = query


@compiles(CreateView)
def _create_view(element: CreateView, compiler: Any, **_: Any) -> str:
    query = compiler.sql_compiler.process(element.query, literal_binds=True)
    return f"CREATE VIEW {compiler.preparer.format_table(element.view)} AS {query}"


def views(dialect: Dialect, tables: Tables) -> Iterator[CreateView]:
    """Iterate over the statements that create the views; their names begin with that of the agent table.

    :param dialect: dialect of the database
    :param tables: the tables
    """
    queries = {"coverage": _coverage(dialect, tables), "finding": _finding(dialect, tables.agent)}
    if tables.history is not None:
        queries |= {"at": _at(dialect, tables.history), "change": _change(tables.history)}
    for suffix, query in queries.items():
        yield CreateView(sa.table(f"{tables.agent.name}_{suffix}", schema=tables.agent.schema), query)


def create_views(database: Database, tables: Tables) -> None:
    """Create missing views; existing ones are not changed.

    :param database: the warehouse
    :param tables: the tables, which must exist
    :raises CCConfigError: the views cannot be created; the text has the statements
    """

    def absent(connection: sa.engine.Connection) -> list[CreateView]:
        wanted = views(database.dialect, tables)
        return [statement for statement in wanted if not is_there(connection, statement.view)]

    def work(connection: sa.engine.Connection) -> None:
        if absent(connection):
            database.dialect.lock(connection, "cc: tables")
            for statement in absent(connection):
                connection.execute(statement)

    try:
        database.transaction(work)
    except CCError as error:
        missing = database.transaction(absent)
        sql = database.dialect.sql()
        needed = "; ".join(" ".join(str(statement.compile(dialect=sql)).split()) for statement in missing)
        raise CCConfigError(f"{error}. Have a role with the necessary privileges run: {needed}") from None


def _at(dialect: Dialect, history: sa.Table) -> Any:
    """Return the versions as half-open intervals that always have an end: one per agent at any time."""
    end = sa.func.coalesce(history.c.valid_to, sa.literal_column(dialect.far_future)).label("valid_to")
    attributes = (history.c[name] for name in _attributes(history))
    return sa.select(history.c.tenant, history.c.account, history.c.valid_from, end, *attributes)


def _change(history: sa.Table) -> Any:
    """Return the changes: one row for each column that differs between a version and the next one, if any."""
    names = _attributes(history)
    other = history.alias("other")
    same = sa.and_(other.c.tenant == history.c.tenant, other.c.account == history.c.account)

    def moment(at: str, run: str, old: sa.FromClause, new: sa.FromClause, neighbor: Any) -> Any:
        def values(label: str, version: sa.FromClause) -> Iterator[Any]:
            is_active = sa.case((version.c.account.is_(None), "false"), else_="true")
            there = version is history
            yield (sa.literal("true") if there else is_active).label(f"{label}_is_active")
            for name in names:
                yield sa.cast(version.c[name], sa.Text()).label(f"{label}_{name}")

        return sa.select(
            history.c.tenant,
            history.c.account,
            history.c[at].label("changed_at"),
            history.c[run].label("run_key"),
            *values("old", old),
            *values("new", new),
        ).select_from(history.outerjoin(other, sa.and_(same, neighbor)))

    began = moment("valid_from", "opened_by", other, history, other.c.valid_to == history.c.valid_from)
    ended = moment("valid_to", "closed_by", history, other, other.c.valid_from == history.c.valid_to)
    ended = ended.where(history.c.valid_to.is_not(None), other.c.account.is_(None))
    step = sa.union_all(began, ended).subquery("step")
    column = _names("column_name", "is_active", *names)
    values = (
        sa.case(
            *((column.c.column_name == name, step.c[f"{label}_{name}"]) for name in ("is_active", *names))
        ).label(f"{label}_value")
        for label in ("old", "new")
    )
    change = (
        sa.select(
            *(step.c.tenant, step.c.account, column.c.column_name, *values, step.c.changed_at, step.c.run_key)
        )
        .select_from(step.join(column, sa.true()))
        .subquery("change_")
    )
    return sa.select(change).where(change.c.old_value.is_distinct_from(change.c.new_value))


def _coverage(dialect: Dialect, tables: Tables) -> Any:
    """Return the periods from each complete run to the next one; the last one has no end yet.

    A run may read an account at any time between its start and end. So the first period begins at the end of
    the first run, and a period ends where the next run begins, because that run reads later values.
    """
    run = tables.run
    # Earlier releases did not record this; a run that read the directory and confirmed all was complete.
    earlier = sa.and_(
        run.c.complete.is_(None),
        run.c.source == "directory",
        sa.or_(run.c.unconfirmed == 0, run.c.unconfirmed.is_(None)),
    )
    first = sa.func.min(run.c.finished_at).over(partition_by=run.c.tenant).label("first")
    complete = (
        sa.select(run.c.tenant, run.c.started_at, run.c.finished_at, first)
        .where(run.c.finished_at.is_not(None), sa.or_(run.c.complete, earlier))
        .where(sa.or_(run.c.agent_table == tables.agent.fullname, run.c.agent_table.is_(None)))
        .subquery("complete")
    )
    is_first = complete.c.finished_at == complete.c.first
    begin = sa.case((is_first, complete.c.finished_at), else_=complete.c.started_at)
    known = (
        sa.select(complete.c.tenant, begin.label("begin"), sa.func.min(complete.c.finished_at).label("end"))
        .where(sa.or_(is_first, complete.c.started_at >= complete.c.first))
        .group_by(complete.c.tenant, begin)
        .subquery("known")
    )

    def following(column: Any) -> Any:
        return sa.func.lead(column).over(partition_by=known.c.tenant, order_by=known.c.begin)

    interval = sa.select(
        known.c.tenant,
        known.c.begin.label("covered_from"),
        following(known.c.begin).label("covered_to"),
        following(known.c.end).label("confirmed_at"),
    ).subquery("interval_")
    return sa.select(
        *interval.c, dialect.hours(interval.c.covered_from, interval.c.covered_to).label("hours")
    )


def _finding(dialect: Dialect, agent: sa.Table) -> Any:
    """Return active agents that share a softphone number or an agent ID, or that runs no longer see."""
    shared = [name for name in ("softphone_number", "agent_id") if name in agent.c]
    latest = sa.func.max(agent.c.synced_at).over(partition_by=agent.c.tenant)
    seen = (
        sa.select(
            agent.c.tenant,
            agent.c.account,
            agent.c.synced_at,
            latest.label("latest"),
            *(sa.cast(agent.c[name], sa.Text()).label(name) for name in shared),
            *(
                sa.func.count(agent.c[name])
                .over(partition_by=(agent.c.tenant, agent.c[name]))
                .label(f"{name}s")
                for name in shared
            ),
        )
        .where(agent.c.is_active)
        .subquery("seen")
    )
    days = dialect.hours(seen.c.synced_at, seen.c.latest) / 24
    names = {f"shared_{name}": name for name in shared}
    finding = _names("finding", "not_seen", *names)
    kind = finding.c.finding
    return (
        sa.select(
            seen.c.tenant,
            kind,
            seen.c.account,
            sa.case(*((kind == name, seen.c[column]) for name, column in names.items())).label("value")
            if names
            else sa.cast(sa.null(), sa.Text()).label("value"),
            seen.c.synced_at,
            days.label("days"),
        )
        .select_from(seen.join(finding, sa.true()))
        .where(
            sa.or_(
                sa.and_(kind == "not_seen", days >= DAYS),
                *(sa.and_(kind == name, seen.c[f"{column}s"] > 1) for name, column in names.items()),
            )
        )
    )


def _attributes(history: sa.Table) -> list[str]:
    own = {"tenant", "account", "valid_from", "valid_to", "opened_by", "closed_by"}
    return [column.name for column in history.columns if column.name not in own]


def _names(label: str, *names: str) -> Any:
    """Return a table of names, to turn columns into rows."""
    return sa.union_all(*(sa.select(sa.literal(name, sa.String()).label(label)) for name in names)).subquery(
        f"{label}s"
    )
