"""How tables are written for Snowflake; imported only where its SQLAlchemy dialect is installed."""

from __future__ import annotations

from typing import Any

from snowflake.sqlalchemy.base import SnowflakeDDLCompiler, SnowflakeTypeCompiler


class TableCompiler(SnowflakeDDLCompiler):
    """Tables without keys: nothing would enforce one, but Snowflake's optimizer and other tools may trust it."""

    def visit_primary_key_constraint(self, constraint: Any, **kw: Any) -> None:
        """Write nothing."""


class TypeCompiler(SnowflakeTypeCompiler):
    """Moments keep their zone, and JSON is text: a row of values, unlike a query, cannot hold a VARIANT."""

    def visit_datetime(self, type_: Any, **kw: Any) -> str:
        """Write the type of a moment."""
        return "TIMESTAMP_TZ" if type_.timezone else "TIMESTAMP_NTZ"

    def visit_JSON(self, type_: Any, **kw: Any) -> str:
        """Write the type of JSON."""
        return "VARCHAR"
