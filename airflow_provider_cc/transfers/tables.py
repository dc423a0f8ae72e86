"""The four tables: agents, their history, the rejects, the ledger of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.transfers.columns import Column
from airflow_provider_cc.transfers.counts import Counts

#: Which Airflow task instance a run is.
RUN_KEY = ("dag_id", "task_id", "run_id", "map_index", "tenant")

#: The ledger's columns for the counts. "unique" is a word of SQL's own, so its column has another name.
COUNT_COLUMNS = {
    field.name: "unique_accounts" if field.name == "unique" else field.name for field in fields(Counts)
}


class UtcTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which knows no time zones, gets it without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert on the way in."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert on the way out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@dataclass(frozen=True)
class Tables:
    """The tables as SQLAlchemy knows them.

    :param agent: one row for each tenant and account
    :param history: one row for each version of an agent, if that is wanted
    :param reject: one row for each account that could not be read in a run
    :param run: the ledger
    """

    agent: sa.Table
    history: sa.Table | None
    reject: sa.Table
    run: sa.Table

    def present(self) -> list[sa.Table]:
        """Return the tables in use."""
        return [table for table in (self.agent, self.history, self.reject, self.run) if table is not None]


def define(columns: Sequence[Column], agent: str, history: str | None, reject: str, run: str) -> Tables:
    """Define the tables.

    :param columns: what is kept of an agent
    :param agent: name of the agent table, ``schema.name`` allowed; so for the others
    :param history: name of the history table, or ``None``
    :param reject: name of the reject table
    :param run: name of the ledger
    :raises ValueError: two tables of the same name, or a name of more than two parts
    """
    names = [name for name in (agent, history, reject, run) if name is not None]
    if len({name.lower() for name in names}) < len(names):
        raise ValueError(f"table, history_table, reject_table and run_table must differ: {', '.join(names)}")
    metadata = sa.MetaData()

    def key() -> list[Any]:
        return [
            sa.Column("tenant", sa.String(250), primary_key=True),
            sa.Column("account", sa.String(100), primary_key=True),
        ]

    def attributes() -> list[Any]:
        return [sa.Column(column.name, column.type) for column in columns]

    return Tables(
        agent=_table(
            agent,
            metadata,
            *key(),
            *attributes(),
            sa.Column("is_active", sa.Boolean(), nullable=False),
            sa.Column("first_seen_at", UtcTime(), nullable=False),
            sa.Column("changed_at", UtcTime(), nullable=False),
            sa.Column("synced_at", UtcTime(), nullable=False),
        ),
        history=_table(
            history,
            metadata,
            *key(),
            sa.Column("valid_from", UtcTime(), primary_key=True),
            sa.Column("valid_to", UtcTime()),
            *attributes(),
        )
        if history is not None
        else None,
        reject=_table(
            reject,
            metadata,
            *_run_key(primary=False),
            sa.Column("account", sa.Text(), nullable=False),
            sa.Column("endpoint", sa.String(100), nullable=False),
            sa.Column("code", sa.String(100), nullable=False),
            sa.Column("message", sa.Text(), nullable=False),
            sa.Column("rejected_at", UtcTime(), nullable=False),
        ),
        run=ledger(run, metadata),
    )


def ledger(name: str, metadata: sa.MetaData | None = None) -> sa.Table:
    """Define the ledger.

    :param name: its name, ``schema.name`` allowed
    :param metadata: that of the tables beside it, if there are any
    :raises ValueError: a name of more than two parts
    """
    return _table(
        name,
        sa.MetaData() if metadata is None else metadata,
        *_run_key(primary=True),
        sa.Column("started_at", UtcTime(), primary_key=True),
        sa.Column("finished_at", UtcTime()),
        sa.Column("source", sa.String(100), nullable=False),
        *(sa.Column(column, sa.Integer(), nullable=False) for column in COUNT_COLUMNS.values()),
        # How many tries there have been: an earlier one that is still at work finds out and gives way.
        sa.Column("tries", sa.Integer(), nullable=False),
        # How many chunks of this run are committed: tells a lost answer from a lost commit.
        sa.Column("commits", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
    )


def _run_key(primary: bool) -> list[Any]:
    kinds = {name: sa.Integer() if name == "map_index" else sa.String(250) for name in RUN_KEY}
    return [
        sa.Column(name, kind, primary_key=primary, autoincrement=False, nullable=False)
        for name, kind in kinds.items()
    ]


def _table(name: str, metadata: sa.MetaData, *parts: Any) -> sa.Table:
    *schema, bare = name.split(".")
    if not bare or len(schema) > 1:
        raise ValueError(f"{name!r} is no table name: give name or schema.name")
    return sa.Table(bare, metadata, *parts, schema=schema[0] if schema else None)


def create(connection: sa.engine.Connection, tables: Tables) -> None:
    """Create the tables that are absent, and check the columns of those that are there.

    :param connection: in a transaction
    :param tables: the tables
    :raises CCConfigError: a table lacks columns; the text has the statements that add them
    """
    for table in tables.present():
        # With checkfirst alone, two first runs at the same time would both find nothing there.
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    check(connection, tables.present())


def check(connection: sa.engine.Connection, tables: Iterable[sa.Table]) -> None:
    """Check the columns of tables that are there.

    :param connection: to the database
    :param tables: the tables
    :raises CCConfigError: a table lacks columns; the text has the statements that add them
    """
    for table in tables:
        # By a query, since not every dialect can be asked for a table's columns.
        nothing = connection.execute(sa.select(sa.text("*")).select_from(table).limit(0))
        found = {str(name).lower() for name in nothing.keys()}  # noqa: SIM118 - a result, no dict
        missing = [column for column in table.columns if column.name.lower() not in found]
        if missing:
            dialect = connection.dialect
            name = dialect.identifier_preparer.format_table(table)
            statements = "; ".join(
                f"ALTER TABLE {name} ADD COLUMN {dialect.identifier_preparer.quote(column.name)} "
                f"{column.type.compile(dialect=dialect)}"
                for column in missing
            )
            raise CCConfigError(f"table {name} lacks columns. Name another table, or run: {statements}")


def database_now(connection: sa.engine.Connection) -> datetime:
    """Return the database's clock; no other one ever stamps a row.

    :param connection: to the database
    """
    if connection.dialect.name == "sqlite":  # its CURRENT_TIMESTAMP has whole seconds only
        text = connection.execute(sa.text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).scalar_one()
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    moment: datetime = connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
    return moment.astimezone(UTC)
