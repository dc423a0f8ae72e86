"""DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.sync.dialects.base import Dialect, driver_cursor

_HERE = "table_name = :name AND schema_name = coalesce(:schema, current_schema())"
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "BOOLEAN": sa.Boolean(),
    "VARCHAR": sa.String(),
    "DATE": sa.Date(),
    "TIMESTAMP": sa.DateTime(),
    "TIMESTAMP WITH TIME ZONE": sa.DateTime(timezone=True),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), sa.BigInteger()),
    **dict.fromkeys(("DECIMAL", "FLOAT", "DOUBLE"), sa.Numeric()),
}


def _place(table: sa.Table) -> dict[str, Any]:
    return {"name": table.name, "schema": table.schema}


class DuckDB(Dialect):
    """DuckDB: one process at a time, columns instead of rows."""

    name = "duckdb"
    schema = "main"
    #: An open DuckDB file is locked, so it is opened for each transaction.
    pool = sa.pool.NullPool
    #: DuckDB updates an indexed column by deleting and inserting the row, which violates the primary key.
    indexes = False

    def connect(self) -> Any:
        """Open a connection in the wrapper that the driver expects."""
        from duckdb_engine import ConnectionWrapper

        return ConnectionWrapper(self.hook.get_conn())

    def lock(self, connection: sa.engine.Connection, name: str, runs: sa.Table | None = None) -> None:
        """Do nothing: the open file locks out other processes, and transactions are retried on conflict."""

    def append(
        self,
        connection: sa.engine.Connection,
        table: sa.Table,
        names: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """Insert rows as lists, one for each column: single rows take a hundred times as long."""
        quote = connection.dialect.identifier_preparer
        lists = ", ".join(
            f"unnest(CAST(? AS {table.c[name].type.compile(dialect=connection.dialect)}[]))" for name in names
        )
        columns = ", ".join(quote.quote(name) for name in names)
        statement = f"INSERT INTO {quote.format_table(table)} ({columns}) SELECT {lists}"
        bind = [
            table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
            for name in names
        ]
        values = [
            [process(value) for value in column] if process else list(column)
            for process, column in zip(bind, zip(*rows, strict=True), strict=True)
        ]
        with driver_cursor(connection) as cursor:
            cursor.execute(statement, values)

    def columns(self, connection: sa.engine.Connection, table: sa.Table) -> dict[str, Any]:
        """Query DuckDB's own views: SQLAlchemy would query PostgreSQL's catalogs."""
        rows = connection.execute(
            sa.text(f"SELECT column_name, data_type FROM duckdb_columns() WHERE {_HERE}"),  # noqa: S608 - a constant
            _place(table),
        )
        return {name.lower(): _TYPES.get(kind.partition("(")[0], sa.types.NullType()) for name, kind in rows}

    def keys(self, connection: sa.engine.Connection, table: sa.Table) -> list[Sequence[str | None]]:
        """Query DuckDB's own views."""
        found = (
            "SELECT constraint_column_names FROM duckdb_constraints()"
            " WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE')"
        )
        indexes = "SELECT string_split(trim(expressions, '[]'), ', ') FROM duckdb_indexes() WHERE is_unique"
        union = sa.text(f"{found} AND {_HERE} UNION ALL {indexes} AND {_HERE}")
        return [names for (names,) in connection.execute(union, _place(table))]

    def may_pass(self, error: sa.exc.DBAPIError) -> bool:
        """Whether another process or another transaction was in the way."""
        said = str(error.orig).lower()
        return "lock" in said or "conflict" in said
