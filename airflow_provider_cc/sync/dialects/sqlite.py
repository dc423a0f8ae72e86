"""SQLite."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

from airflow_provider_cc.sync.dialects.base import Dialect


class _Compiler(SQLiteCompiler):
    """Adds ``UPDATE … FROM``, which SQLAlchemy 1.4 does not support for SQLite."""

    def update_from_clause(
        self, update_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        kw["asfrom"] = True
        tables = (table._compiler_dispatch(self, fromhints=from_hints, **kw) for table in extra_froms)
        return "FROM " + ", ".join(tables)


class SQLite(Dialect):
    """SQLite: one writer at a time, no time zones, hardly any types."""

    name = "sqlite"
    schema = "main"
    pool: ClassVar[type[sa.pool.Pool]] = sa.pool.NullPool
    partial_indexes = True
    far_future = "'9999-01-01 00:00:00.000000'"

    def adjust(self, sql: Any) -> None:
        """Enable ``UPDATE … FROM``."""
        sql.statement_compiler = _Compiler

    def lock(self, connection: sa.engine.Connection, name: str, runs: sa.Table | None = None) -> None:
        """Lock the whole file; SQLite has no smaller lock."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def now(self, connection: sa.engine.Connection) -> datetime:
        """Return the clock with milliseconds; ``CURRENT_TIMESTAMP`` has whole seconds."""
        text = connection.exec_driver_sql("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')").scalar_one()
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    def hours(self, begin: Any, end: Any) -> sa.sql.ColumnElement[Any]:
        """Count days, as fractions."""
        return (sa.func.julianday(end, type_=sa.Float()) - sa.func.julianday(begin, type_=sa.Float())) * 24

    def may_pass(self, error: sa.exc.DBAPIError) -> bool:
        """Whether another writer was in the way."""
        return "locked" in str(error.orig) or "busy" in str(error.orig)

    def differs_in_type(self, wanted: sa.Column[Any], found: Any) -> bool:
        """Accept every type: a column accepts any value, and timestamps are written in UTC."""
        return False
