"""The tables: agents, their history, the rejects, the run log, and staging.

``python -m airflow_provider_cc.sync.schema <conn_id>`` prints the statements that create them.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.sync.columns import AGENT_COLUMNS, Column
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import Database, database_of
from airflow_provider_cc.sync.dialects.base import Dialect, UtcTime

#: Identifies the Airflow task instance of a run.
RUN_KEY = ("dag_id", "task_id", "run_id", "map_index", "tenant")

#: The run log's columns for the counts. "unique" is a reserved word of SQL, so its column has another name.
COUNT_COLUMNS = {
    field.name: "unique_accounts" if field.name == "unique" else field.name for field in fields(Counts)
}
#: Columns of the run log and the history that the first release did not have.
LATER_COLUMNS = {
    *("throttled_seconds", "unconfirmed", "skipped", "run_key", "deployment", "agent_table", "complete"),
    *("opened_by", "closed_by"),
}


@dataclass(frozen=True)
class Tables:
    """The tables as SQLAlchemy objects.

    :param agent: one row for each tenant and account
    :param history: one row for each version of an agent; ``None`` without history
    :param reject: one row for each account that could not be read in a run
    :param run: the run log
    :param stage: answers that are not applied yet
    """

    agent: sa.Table
    history: sa.Table | None
    reject: sa.Table
    run: sa.Table
    stage: sa.Table

    def present(self) -> list[sa.Table]:
        """Return the tables in use."""
        tables = (self.agent, self.history, self.reject, self.run, self.stage)
        return [table for table in tables if table is not None]

    def extensible(self) -> list[sa.Table]:
        """Return the tables to which the columns of a new release are added."""
        return [self.run] if self.history is None else [self.run, self.history]


def define(columns: Sequence[Column], agent: str, history: str | None, reject: str, run: str) -> Tables:
    """Define the tables.

    :param columns: the columns of an agent
    :param agent: name of the agent table; every name may be ``schema.name``
    :param history: name of the history table, or ``None``
    :param reject: name of the reject table
    :param run: name of the run log
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
            # The runs that opened and closed the version. Timestamps do not show this, because runs overlap.
            sa.Column("opened_by", sa.String(32)),
            sa.Column("closed_by", sa.String(32)),
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
        stage=_table(
            f"{agent}_stage",
            metadata,
            sa.Column("run_key", sa.String(32), primary_key=True),
            # Wider than in the agent table: a code may be rejected because it is too long.
            sa.Column("account", sa.String(250), primary_key=True),
            sa.Column("outcome", sa.String(10), nullable=False),
            sa.Column("read_at", UtcTime(), nullable=False),
            sa.Column("endpoint", sa.String(100), nullable=False),
            sa.Column("code", sa.String(100), nullable=False),
            sa.Column("message", sa.Text(), nullable=False),
            *attributes(),
        ),
    )


def ledger(name: str, metadata: sa.MetaData | None = None) -> sa.Table:
    """Define the run log.

    :param name: its name; may be ``schema.name``
    :param metadata: metadata of the other tables, if any
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
        # Number of attempts: an earlier one that is still running finds a newer one here and stops.
        sa.Column("tries", sa.Integer(), nullable=False),
        # Number of staged batches: distinguishes a lost confirmation from a lost commit.
        sa.Column("commits", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        # Identify the run's staged answers, and its Airflow deployment.
        sa.Column("run_key", sa.String(32)),
        sa.Column("deployment", sa.String(250)),
        # Scope of the run: the agent table, and whether every active agent was read or rejected.
        sa.Column("agent_table", sa.String(250)),
        sa.Column("complete", sa.Boolean()),
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
        raise ValueError(f"Invalid table name {name!r}: use name or schema.name")
    return sa.Table(bare, metadata, *parts, schema=schema[0] if schema else None)


def indexes(tables: Tables, dialect: Dialect) -> list[sa.Index]:
    """Return the indexes for the queries in the README, and for the sync's own statements.

    :param tables: the tables
    :param dialect: dialect of the database
    """
    if not dialect.indexes:
        return []

    def index(table: sa.Table, *names: str, suffix: str = "", **only: Any) -> sa.Index:
        made = sa.Index(
            f"{table.name}_{suffix or '_'.join(names)}", *(table.c[name] for name in names), **only
        )
        table.indexes.discard(made)  # only tables that the sync creates get it
        return made

    agent, history = tables.agent, tables.history
    found = [index(tables.reject, "tenant", "rejected_at")]
    if "softphone_number" in agent.c:
        found.append(index(agent, "softphone_number"))
    if history is not None and "softphone_number" in history.c:
        found.append(index(history, "softphone_number", "valid_from"))
    if history is not None and dialect.partial_indexes:
        only = {f"{dialect.name}_where": history.c.valid_to.is_(None)}
        found.append(index(history, "tenant", "account", suffix="open", **only))
    return found


def _creation(dialect: Dialect, tables: Tables, table: sa.Table, **options: bool) -> list[Any]:
    """Return the statements that create a table with its indexes."""
    if table is tables.agent:
        table.dialect_kwargs.update(dialect.agent_options)
    return dialect.create(
        table, [index for index in indexes(tables, dialect) if index.table is table], **options
    )


def statements(dialect: Dialect, tables: Tables, absent: Sequence[sa.Table], sql: Any) -> Iterator[str]:
    """Iterate over the statements that create tables and their indexes.

    :param dialect: dialect of the database
    :param tables: all tables
    :param absent: the tables to create
    :param sql: SQLAlchemy's dialect
    """
    made = [_creation(dialect, tables, table) for table in absent]
    for statement in (*(first for first, *_ in made), *(index for _, *rest in made for index in rest)):
        yield " ".join(str(statement.compile(dialect=sql)).split())


def prepare(database: Database, tables: Tables) -> None:
    """Create missing tables, with their indexes, and check existing ones.

    Existing tables are not changed, except that the run log and the history get columns of a newer release.

    :param database: the warehouse
    :param tables: the tables
    :raises CCConfigError: a table does not fit or cannot be created; the text has the statements
    """

    def work(connection: sa.engine.Connection) -> None:
        absent = [table for table in tables.present() if not is_there(connection, table)]
        if absent:
            database.dialect.lock(connection, "cc: tables")
            for table in tables.present():
                if table in absent and not is_there(connection, table):
                    for statement in _creation(database.dialect, tables, table, if_not_exists=True):
                        connection.execute(statement)
        for table in tables.extensible():
            for column in _later_columns(connection, database.dialect, table):
                connection.exec_driver_sql(_add_column(connection, database.dialect, column))
        check(connection, database.dialect, tables.present())

    database.engine  # noqa: B018 - a connection failure is raised here
    try:
        database.transaction(work)
    except CCConfigError:
        raise
    except CCError as error:
        needed = database.transaction(lambda connection: list(_needed(connection, database.dialect, tables)))
        if not needed:
            raise
        raise CCConfigError(
            f"{error}. Have a role with the necessary privileges run: {'; '.join(needed)}"
        ) from None


def _needed(connection: sa.engine.Connection, dialect: Dialect, tables: Tables) -> Iterator[str]:
    absent = [table for table in tables.present() if not is_there(connection, table)]
    yield from statements(dialect, tables, absent, connection.dialect)
    for table in tables.extensible():
        for column in _later_columns(connection, dialect, table) if table not in absent else ():
            yield _add_column(connection, dialect, column)


def check(
    connection: sa.engine.Connection,
    dialect: Dialect,
    tables: Sequence[sa.Table],
    may_lack: Collection[str] = (),
) -> None:
    """Check that existing tables have the columns, types and keys that the sync needs.

    :param connection: connection to the database
    :param dialect: dialect of the database
    :param tables: the tables
    :param may_lack: names of columns that may be missing
    :raises CCConfigError: a table does not fit; the text has the statements that change it
    """
    for table in tables:
        name = connection.dialect.identifier_preparer.format_table(table)
        problems = list(_problems(connection, dialect, table, may_lack))
        if problems:
            reasons, changes = zip(*problems, strict=True)
            raise CCConfigError(
                f"Table {name} does not fit: {', '.join(reasons)}. Run these statements, or use a "
                f"different table: "
                f"{'; '.join(dict.fromkeys(changes))}"
            )


def _problems(
    connection: sa.engine.Connection, dialect: Dialect, table: sa.Table, may_lack: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Iterate over the problems, each with the statement that fixes it."""
    sql = connection.dialect
    quote = sql.identifier_preparer
    name = quote.format_table(table)
    for column in (column for column in _missing(connection, table) if column.name not in may_lack):
        yield f"column {column.name} is missing", _add_column(connection, dialect, column)
    found = dialect.columns(connection, table)
    for column in table.columns:
        kind = found.get(column.name.lower())
        if kind is not None and dialect.differs_in_type(column, kind):
            yield (
                f"column {column.name} is {kind!s}, not {dialect.column_type(column, sql)}",
                f"ALTER TABLE {name} {dialect.change_type(column, sql)}",
            )
    key = dialect.key(table)
    if key and set(key) not in [
        {name.lower() for name in names if name} for names in dialect.keys(connection, table)
    ]:
        names = ", ".join(quote.quote(column) for column in key)
        yield (
            f"it has no unique key ({', '.join(key)})",
            f"CREATE UNIQUE INDEX {quote.quote(table.name + '_key')} ON {name} ({names})",
        )


def is_there(connection: sa.engine.Connection, table: sa.Table) -> bool:
    """Whether a table or view of this name exists.

    :param connection: connection to the database
    :param table: the table
    """
    return sa.inspect(connection).has_table(table.name, schema=table.schema)


def _missing(connection: sa.engine.Connection, table: sa.Table) -> list[sa.Column[Any]]:
    # By a query, because not every dialect can list a table's columns.
    nothing = connection.execute(sa.select(sa.text("*")).select_from(table).limit(0))
    found = {str(name).lower() for name in nothing.keys()}  # noqa: SIM118 - a result, not a dict
    return [column for column in table.columns if column.name.lower() not in found]


def _later_columns(
    connection: sa.engine.Connection, dialect: Dialect, table: sa.Table
) -> list[sa.Column[Any]]:
    """Return the columns missing from a table of an earlier release; none if it is an unrelated table."""
    # From the catalog, because the role may not be allowed to read the table.
    found = dialect.columns(connection, table)
    missing = [column for column in table.columns if column.name.lower() not in found]
    return missing if {column.name for column in missing} <= LATER_COLUMNS else []


def _add_column(connection: sa.engine.Connection, dialect: Dialect, column: sa.Column[Any]) -> str:
    quote = connection.dialect.identifier_preparer
    kind = dialect.column_type(column, connection.dialect)
    return f"ALTER TABLE {quote.format_table(column.table)} ADD COLUMN {quote.quote(column.name)} {kind}"


def main() -> None:
    """Print the statements that create the tables and views in a connection's database; change nothing."""
    from airflow_provider_cc.sync.views import views

    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cc.sync.schema", description=main.__doc__
    )
    parser.add_argument("conn_id", help="Airflow connection of the warehouse")
    parser.add_argument("--table", default="cc_agent", help="agent table (default: cc_agent)")
    parser.add_argument("--history-table", help="history table (default: none)")
    parser.add_argument("--reject-table", default="cc_agent_reject", help="default: cc_agent_reject")
    parser.add_argument("--run-table", default="cc_sync_run", help="default: cc_sync_run")
    wanted = parser.parse_args()
    tables = define(AGENT_COLUMNS, wanted.table, wanted.history_table, wanted.reject_table, wanted.run_table)
    database = database_of(wanted.conn_id)
    sql = database.dialect.sql()
    for statement in statements(database.dialect, tables, tables.present(), sql):
        print(f"{statement};")
    for view in views(database.dialect, tables):
        print(f"{' '.join(str(view.compile(dialect=sql)).split())};")


if __name__ == "__main__":
    main()
