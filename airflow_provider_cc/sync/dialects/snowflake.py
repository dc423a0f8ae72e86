"""Snowflake: keys are not enforced, locks are on whole tables, and each statement is expensive."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.sync.dialects.base import Dialect
from airflow_provider_cc.sync.dialects.keyless import keep_latest

#: Bytes of rows per statement. Snowflake allows less than 1 MB, and escapes take some of it.
_BYTES = 700_000
#: The client has lost its session.
_LOST = {250002, 250003, 390111, 390114}
#: Statements that were canceled or timed out, and locks with too many waiters or too long a wait.
_MAY_PASS = {604, 625, 630} | _LOST
_VALUE = re.compile(r"(?is)\b(value|string|timestamp|number|boolean) '.*' (?=is |are |cannot )")
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "BOOLEAN": sa.Boolean(),
    "TIMESTAMP_NTZ": sa.DateTime(),
    **dict.fromkeys(("TIMESTAMP_TZ", "TIMESTAMP_LTZ"), sa.DateTime(timezone=True)),
    **dict.fromkeys(("VARCHAR", "TEXT"), sa.String()),
    **dict.fromkeys(("NUMBER", "FLOAT", "DECFLOAT"), sa.Numeric()),
}


class Snowflake(Dialect):
    """Snowflake."""

    name = "snowflake"
    indexes = False
    far_future = "CAST('9999-01-01 00:00:00 +00:00' AS TIMESTAMP_TZ)"

    def adjust(self, sql: Any) -> None:
        """Write tables for Snowflake, and distinguish a lost session from other errors."""
        from airflow_provider_cc.sync.dialects import snowflake_tables

        sql._json_serializer = sql._json_deserializer = None
        sql.ddl_compiler = snowflake_tables.TableCompiler
        sql.type_compiler = sql.type_compiler_instance = snowflake_tables.TypeCompiler(sql)
        sql.is_disconnect = lambda error, *_: getattr(error, "errno", None) in _LOST

    def driver(self) -> str:
        """Open the first connection here, because a transaction would be retried."""
        return self.package()

    def open(self) -> Any:
        """Open a connection as the hook does; turn the client's HTTP errors into database errors."""
        from snowflake.connector import errors

        try:
            return super().open()
        except (errors.ForbiddenError, errors.ServiceUnavailableError, errors.BadGatewayError) as error:
            raise errors.DatabaseError(msg=error.msg, errno=error.errno, sqlstate="08001") from None

    def connect(self) -> Any:
        """Open a connection, and turn off Snowflake's default of committing each statement."""
        connection = self.open()
        connection.autocommit(False)
        return connection

    def lock(self, connection: sa.engine.Connection, name: str, runs: sa.Table | None = None) -> None:
        """Update the run log, which no other transaction can do until this one ends."""
        if runs is not None:
            connection.execute(sa.update(runs).values(tries=runs.c.tries))

    def append(
        self,
        connection: sa.engine.Connection,
        table: sa.Table,
        names: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """Insert thousands of rows with each statement."""
        batches: list[list[dict[str, Any]]] = []
        room = 0
        for row in rows:
            size = len(str(row).encode(errors="replace"))
            if room < size:
                batches.append([])
                room = _BYTES
            room -= size
            batches[-1].append(dict(zip(names, row, strict=True)))
        for batch in batches:
            connection.execute(table.insert(), batch)

    def before_apply(
        self, connection: sa.engine.Connection, stage: sa.Table, run_keys: Sequence[str], rows: int
    ) -> None:
        """Remove duplicates, as keys do in other databases."""
        for run_key in run_keys:
            keep_latest(connection, stage, run_key)

    def hours(self, begin: Any, end: Any) -> sa.sql.ColumnElement[Any]:
        """Count microseconds."""
        return sa.func.datediff(sa.text("microsecond"), begin, end, type_=sa.Float()) / 3.6e9

    def may_pass(self, error: sa.exc.DBAPIError) -> bool:
        """Check the error code. A failed connection is not retried: the client has already done so."""
        code, state = (getattr(error.orig, name, None) for name in ("errno", "sqlstate"))
        return code in _MAY_PASS and state != "08001"

    def reason(self, error: BaseException) -> str:
        """Return all lines, because the first one says little, without the values that some errors quote."""
        return _VALUE.sub(r"\1 *** ", " ".join(str(getattr(error, "orig", None) or error).split()))

    def key(self, table: sa.Table) -> list[str]:
        """Require no key."""
        return []

    def columns(self, connection: sa.engine.Connection, table: sa.Table) -> dict[str, Any]:
        """Describe only this table; SQLAlchemy would describe all tables of the schema."""
        name, other = connection.dialect.identifier_preparer.format_table(table), sa.types.NullType()
        found = connection.exec_driver_sql(f"DESC TABLE {name}")
        return {row[0].lower(): _TYPES.get(row[1].partition("(")[0], other) for row in found}

    def change_type(self, column: sa.Column[Any], sql: sa.engine.Dialect) -> str:
        """Move the values to a new column, because Snowflake cannot change most types."""
        from airflow_provider_cc.sync.dialects import snowflake_tables

        return snowflake_tables.replacement(column, self.column_type(column, sql), sql.identifier_preparer)
