"""PostgreSQL, with psycopg 2 or 3, also through PgBouncer in transaction mode."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.sync.dialects.base import Dialect, driver_cursor

#: Types whose values have a plain text form for COPY. A subclass of the operator may have added other types.
_PLAIN = (sa.Boolean, sa.Date, sa.DateTime, sa.Integer, sa.Numeric, sa.String, sa.types.TypeDecorator)
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
#: Codes of conflicts, shutdowns and too many connections; texts of refused connections, which have no code.
_MAY_PASS = re.compile("08...|40001|40P01|55P03|57P0[123]|53300")
_BUSY = re.compile("starting up|shutting down|recovery mode|too many|connection slots|terminating")
#: All rows of a page have the same timestamp.
_moment = lru_cache(64)(datetime.isoformat)
#: From this number of rows on, hash joins are the only good plan, regardless of statistics.
_MANY, _PLAN = 1000, (("work_mem", "64MB"), ("enable_nestloop", "off"))


class PostgreSQL(Dialect):
    """PostgreSQL."""

    name = "postgresql"
    partial_indexes = True
    agent_options: ClassVar = {"postgresql_with": {"fillfactor": 50}}

    def driver(self) -> str:
        """Return the driver that the hook uses, after checking that the server is really PostgreSQL."""
        connection = self._first = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("SELECT version()")
            version = cursor.fetchone()[0]
        connection.rollback()
        if not version.startswith("PostgreSQL") or "Redshift" in version:
            raise CCConfigError(f"the server is not PostgreSQL but {version}, which is not supported")
        return f"{self.name}+{type(connection).__module__.partition('.')[0]}"

    def connect(self) -> Any:
        """Open a connection as the hook does, without settings that break SQLAlchemy or PgBouncer."""
        connection = self.open()
        if hasattr(connection, "prepare_threshold"):  # psycopg 3
            from psycopg.rows import tuple_row

            # Behind PgBouncer, a statement prepared in one transaction does not exist in the next one.
            connection.prepare_threshold, connection.row_factory = None, tuple_row
        else:
            connection.cursor_factory = None
        connection.autocommit = False
        return connection

    def lock(self, connection: sa.engine.Connection, name: str, runs: sa.Table | None = None) -> None:
        """Take an advisory lock of the transaction."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(name))))

    def append(
        self,
        connection: sa.engine.Connection,
        table: sa.Table,
        names: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """Copy rows."""
        if not all(isinstance(table.c[name].type, _PLAIN) for name in names):
            super().append(connection, table, names, rows)
            return
        quote = connection.dialect.identifier_preparer
        columns = ", ".join(quote.quote(name) for name in names)
        statement = f"COPY {quote.format_table(table)} ({columns}) FROM STDIN"
        text = "".join("\t".join(map(_text, row)) + "\n" for row in rows)
        with driver_cursor(connection) as driver:
            if hasattr(driver, "copy_expert"):
                driver.copy_expert(statement, io.StringIO(text))
            else:
                with driver.copy(statement) as copy:
                    copy.write(text)

    def before_apply(
        self, connection: sa.engine.Connection, stage: sa.Table, run_keys: Sequence[str], rows: int
    ) -> None:
        """Choose the plan: staging and tables that were just filled have no statistics yet."""
        if rows >= _MANY:
            connection.execute(sa.select(*(sa.func.set_config(*setting, True) for setting in _PLAN)))

    def comparable(self, column: sa.sql.ColumnElement[Any]) -> sa.sql.ColumnElement[Any]:
        """Compare JSON as JSONB: JSON itself cannot be compared."""
        return sa.cast(column, JSONB) if isinstance(column.type, sa.JSON) else column

    def may_pass(self, error: sa.exc.DBAPIError) -> bool:
        """Check the error code; without one, the connection was refused or lost."""
        code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
        if code:
            return _MAY_PASS.fullmatch(code) is not None
        said = str(error.orig)
        refused = ("FATAL" in said or "SSL was required" in said) and _BUSY.search(said) is None
        return not refused and isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)

    def encoding(self, connection: sa.engine.Connection) -> str | None:
        """Return the encoding of the database, which may lack many characters."""
        name: str = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        return None if name in ("UTF8", "SQL_ASCII") else codecs.lookup(name.replace("WIN", "cp")).name


def _text(value: Any) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, str):
        return value if value.isprintable() and "\\" not in value else value.translate(_ESCAPES)
    return _moment(value) if isinstance(value, datetime) else str(value)
