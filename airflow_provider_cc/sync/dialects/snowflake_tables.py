"""Statements for Snowflake's tables; imported only if its SQLAlchemy dialect is installed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from snowflake.sqlalchemy.base import SnowflakeDDLCompiler, SnowflakeTypeCompiler

from airflow_provider_cc.sync.dialects.base import UtcTime

#: Does not depend on the session's time zone, as a cast of a timestamp without one would.
_IN_UTC = (
    "DATEADD(MICROSECOND, DATEDIFF(MICROSECOND, CAST('1970-01-01' AS TIMESTAMP_NTZ), {}),"
    " CAST('1970-01-01 00:00:00 +00:00' AS TIMESTAMP_TZ))"
)


class TableCompiler(SnowflakeDDLCompiler):
    """Tables without keys: Snowflake would not enforce them, but other tools might rely on them."""

    def visit_primary_key_constraint(self, constraint: Any, **kw: Any) -> None:
        """Write nothing."""


class TypeCompiler(SnowflakeTypeCompiler):
    """Timestamps have a time zone, and JSON is text, because a row of values cannot contain a VARIANT."""

    def visit_datetime(self, type_: Any, **kw: Any) -> str:
        """Write the type of a timestamp."""
        return "TIMESTAMP_TZ" if type_.timezone else "TIMESTAMP_NTZ"

    def visit_JSON(self, type_: Any, **kw: Any) -> str:
        """Write the type of JSON."""
        return "VARCHAR"


def replacement(column: sa.Column[Any], kind: str, quote: Any) -> str:
    """Return the ``ALTER TABLE`` clause and the statements after it that change a column's type.

    :param column: the column as it should be
    :param kind: its type
    :param quote: SQLAlchemy's function to quote names
    """
    table, name, old = quote.format_table(column.table), quote.quote(column.name), f"{column.name}_old"
    value = _IN_UTC.format(old) if isinstance(column.type, UtcTime) else f"CAST({old} AS {kind})"
    steps = (
        f"RENAME COLUMN {name} TO {old}",
        f"ALTER TABLE {table} ADD COLUMN {name} {kind}",
        f"UPDATE {table} SET {name} = {value}",  # noqa: S608 - names from the schema
        f"ALTER TABLE {table} DROP COLUMN {old}",
    )
    return "; ".join(steps)
