"""What the sync needs from a database, implemented in standard SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

#: Rows per statement.
_ROWS = 1000


class UtcTime(sa.types.TypeDecorator[datetime]):
    """A timestamp in UTC, with microseconds."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert a value to write; SQLite has no time zones and gets it without one."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert a value that was read."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@contextmanager
def driver_cursor(connection: sa.engine.Connection) -> Iterator[Any]:
    """Yield a cursor of the driver; its errors become SQLAlchemy's errors, as for other statements.

    :param connection: a connection in a transaction
    """
    dialect: Any = connection.dialect
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except dialect.dbapi.Error as error:
        wrapped = sa.exc.DBAPIError.instance(None, None, error, dialect.dbapi.Error, dialect=dialect)
        raise wrapped from error
    finally:
        cursor.close()


class Dialect:
    """One kind of database. A subclass overrides what its database does differently.

    :param hook: the Airflow hook of the connection, which opens every connection
    """

    name: ClassVar[str]
    """Name of SQLAlchemy's dialect."""
    pool: ClassVar[type[sa.pool.Pool]] = sa.pool.QueuePool
    """How connections are kept between transactions."""
    partial_indexes: ClassVar[bool] = False
    """Whether an index can contain only some of the rows."""
    schema: str | None = None
    """Schema of tables that are named without one, if it does not depend on settings."""
    indexes: ClassVar[bool] = True
    """Whether indexes in addition to the primary keys help."""
    agent_options: ClassVar[Mapping[str, Any]] = {}
    """SQLAlchemy's options for an agent table that the sync creates.

    Every run updates ``synced_at`` of each row. A database that writes a new row for this needs space for it
    next to the old one; otherwise it must also update all indexes.
    """
    far_future: ClassVar[str] = "TIMESTAMP WITH TIME ZONE '9999-01-01 00:00:00+00:00'"
    """A time in the far future, in SQL."""

    def __init__(self, hook: Any) -> None:
        self.hook = hook
        self._first: Any = None

    def engine(self) -> sa.engine.Engine:
        """Return an engine whose connections are opened by the hook; its errors contain no row values."""
        engine: sa.engine.Engine = sa.create_engine(
            f"{self.driver()}://", creator=self.connect, poolclass=self.pool, hide_parameters=True
        )
        self.adjust(engine.dialect)
        return engine

    def sql(self) -> sa.engine.Dialect:
        """Return SQLAlchemy's dialect, to compile statements without a connection."""
        dialect = sa.engine.make_url(f"{self.name}://").get_dialect()()
        self.adjust(dialect)
        return dialect

    def adjust(self, sql: Any) -> None:
        """Change how SQLAlchemy compiles statements.

        :param sql: SQLAlchemy's dialect
        """

    def driver(self) -> str:
        """Return SQLAlchemy's name of the dialect and driver."""
        return self.name

    def package(self) -> str:
        """Return the driver package of the hook's connections, which only a connection shows."""
        self._first = self.open()
        return type(self._first).__module__.partition(".")[0]

    def open(self) -> Any:
        """Open a connection exactly as the hook does."""
        connection, self._first = self._first or self.hook.get_conn(), None
        return connection

    def connect(self) -> Any:
        """Open a connection in the form that SQLAlchemy's driver expects."""
        return self.open()

    def lock(self, connection: sa.engine.Connection, name: str, runs: sa.Table | None = None) -> None:
        """Make other transactions with the same lock wait until this one ends.

        :param connection: a connection at the beginning of a transaction
        :param name: name of the lock
        :param runs: the run log, if it exists: to lock if the database has no named locks
        """
        raise NotImplementedError

    def now(self, connection: sa.engine.Connection) -> datetime:
        """Return the database's clock, the only source of timestamps in rows."""
        moment: datetime = connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
        return moment.astimezone(UTC)

    def append(
        self,
        connection: sa.engine.Connection,
        table: sa.Table,
        names: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """Insert rows in the fastest way.

        :param connection: a connection in a transaction
        :param table: the table
        :param names: the columns
        :param rows: their values
        """
        for start in range(0, len(rows), _ROWS):
            batch = [dict(zip(names, row, strict=True)) for row in rows[start : start + _ROWS]]
            connection.execute(table.insert(), batch)

    def before_apply(
        self, connection: sa.engine.Connection, stage: sa.Table, run_keys: Sequence[str], rows: int
    ) -> None:
        """Prepare for set-based statements over many staged rows.

        :param connection: a connection in the transaction that applies them
        :param stage: the staging table
        :param run_keys: keys of the staged answers to apply
        :param rows: number of these answers
        """

    def hours(self, begin: Any, end: Any) -> sa.sql.ColumnElement[Any]:
        """Return the hours from one timestamp to another, with fractions.

        :param begin: a column
        :param end: a column
        """
        return sa.extract("epoch", end - begin) / 3600

    def comparable(self, column: sa.sql.ColumnElement[Any]) -> sa.sql.ColumnElement[Any]:
        """Return a column in a form that the database can compare with another."""
        return column

    def may_pass(self, error: sa.exc.DBAPIError) -> bool:
        """Whether a transaction that failed with this error may succeed if it is repeated.

        It may after a conflict with another transaction or a lost connection, but not after a rejected
        password, or if a privilege or table is missing.
        """
        return error.connection_invalidated

    def reason(self, error: BaseException) -> str:
        """Return the database's error text without details, because these quote rows.

        :param error: SQLAlchemy's or the driver's error
        """
        said = str(getattr(error, "orig", None) or error).strip()
        return said.splitlines()[0] if said else type(error).__name__

    def encoding(self, connection: sa.engine.Connection) -> str | None:
        """Return Python's name of the database's encoding; ``None`` if it can store every character."""
        return None

    def create(
        self, table: sa.Table, indexes: Sequence[sa.Index], if_not_exists: bool = False
    ) -> list[CreateTable | CreateIndex]:
        """Return the statements that create a table with its indexes.

        :param table: the table
        :param indexes: its indexes
        :param if_not_exists: whether to ignore a table that already exists
        """
        return [CreateTable(table, if_not_exists=if_not_exists), *map(CreateIndex, indexes)]

    def key(self, table: sa.Table) -> list[str]:
        """Return the columns of the unique key, in a table that has one."""
        return [column.name for column in table.primary_key]

    def column_type(self, column: sa.Column[Any], sql: sa.engine.Dialect) -> str:
        """Return the type of a column as required in an existing table.

        :param column: the column
        :param sql: SQLAlchemy's dialect
        """
        return str(column.type.compile(dialect=sql))

    def change_type(self, column: sa.Column[Any], sql: sa.engine.Dialect) -> str:
        """Return the ``ALTER TABLE`` clause that corrects a column's type.

        :param column: the column as it should be
        :param sql: SQLAlchemy's dialect
        """
        name, kind = sql.identifier_preparer.quote(column.name), self.column_type(column, sql)
        moment = isinstance(column.type, UtcTime)
        value = f"{name} AT TIME ZONE 'UTC'" if moment else f"CAST({name} AS {kind})"
        return f"ALTER COLUMN {name} TYPE {kind} USING {value}"

    def columns(self, connection: sa.engine.Connection, table: sa.Table) -> dict[str, Any]:
        """Return the columns of an existing table, in lower case, each with SQLAlchemy's type."""
        found = sa.inspect(connection).get_columns(table.name, schema=table.schema)
        return {column["name"].lower(): column["type"] for column in found}

    def keys(self, connection: sa.engine.Connection, table: sa.Table) -> list[Sequence[str | None]]:
        """Return the columns of each unique key of an existing table."""
        inspector, place = sa.inspect(connection), (table.name, table.schema)
        return [
            inspector.get_pk_constraint(*place)["constrained_columns"],
            *(index["column_names"] for index in inspector.get_indexes(*place) if index["unique"]),
            *(constraint["column_names"] for constraint in inspector.get_unique_constraints(*place)),
        ]

    def differs_in_type(self, wanted: sa.Column[Any], found: Any) -> bool:
        """Whether an existing column has the wrong type.

        :param wanted: the column as it should be
        :param found: SQLAlchemy's type of the existing column
        """
        if isinstance(wanted.type, UtcTime):
            return not isinstance(found, sa.DateTime) or not found.timezone
        kinds = [kind for kind in (sa.Boolean, sa.Integer, sa.String) if isinstance(wanted.type, kind)]
        if not kinds or isinstance(found, sa.types.NullType):
            return False
        allowed: dict[Any, Any] = {sa.Integer: sa.Numeric}
        return not isinstance(found, (kinds[0], allowed.get(kinds[0], kinds[0])))
