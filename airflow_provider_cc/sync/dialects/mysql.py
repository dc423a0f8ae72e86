"""MariaDB and MySQL, with MySQL Connector/Python or mysqlclient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from airflow_provider_cc.sync.dialects import mysql_statements as ours
from airflow_provider_cc.sync.dialects.base import Dialect, UtcTime

#: A text that is too long causes an error, and a statement sees what has been committed before it.
_SESSION = (
    "SET sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES'), time_zone = '+00:00'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
)
#: Conflicts, shutdowns, and connections that were lost or temporarily cannot be opened.
_MAY_PASS = {1020, 1040, 1047, 1053, 1203, 1205, 1213, 1927, 2002, 2003, 2005, 2006, 2013, 2055, 4031}
_VALUE = re.compile("(entry|value:?) '.*' for ")
_COLUMNS = sa.table(
    "columns",
    *map(sa.column, ("table_schema", "table_name", "column_name", "collation_name")),
    schema="information_schema",
)


class MySQL(Dialect):
    """MariaDB and MySQL."""

    name = "mysql"
    far_future = "TIMESTAMP'9999-01-01 00:00:00.000000'"

    def __init__(self, hook: Any) -> None:
        super().__init__(hook)
        self.schema = hook.schema or hook.get_connection(hook.get_conn_id()).schema

    def adjust(self, sql: Any) -> None:
        """Create tables that do not depend on the server's settings."""
        ours.adjust(sql)

    def driver(self) -> str:
        """Return the driver that the hook uses."""
        package = self.package().lower()
        return f"{self.name}+{'mysqlconnector' if package == 'mysql' else package}"

    def connect(self) -> Any:
        """Open a connection for all characters, with ordinary cursors."""
        connection = self.open()
        if hasattr(connection, "set_character_set"):  # mysqlclient
            connection.set_character_set("utf8mb4")
            connection.cursorclass = connection.default_cursor
        else:
            connection.can_consume_results = True
        cursor = connection.cursor()
        for statement in _SESSION:
            cursor.execute(statement)
        cursor.close()
        return connection

    def lock(self, connection: sa.engine.Connection, name: str, runs: sa.Table | None = None) -> None:
        """Take a lock of the session, and end the session with the transaction."""
        connection.detach()
        name_here = sa.func.sha2(sa.func.concat_ws(".", sa.func.database(), name), 256)
        while connection.execute(sa.select(sa.func.get_lock(name_here, 10))).scalar_one() != 1:
            pass  # 10 seconds have passed

    def now(self, connection: sa.engine.Connection) -> datetime:
        """Return the clock in UTC, regardless of the server's time zone."""
        moment: datetime = connection.execute(sa.select(sa.func.utc_timestamp(sa.text("6")))).scalar_one()
        return moment.replace(tzinfo=UTC)

    def hours(self, begin: Any, end: Any) -> sa.sql.ColumnElement[Any]:
        """Count microseconds."""
        return sa.func.timestampdiff(sa.text("MICROSECOND"), begin, end, type_=sa.Float()) / 3.6e9

    def may_pass(self, error: sa.exc.DBAPIError) -> bool:
        """Check the error code."""
        code = getattr(error.orig, "errno", None) or (error.orig and error.orig.args[0])
        return error.connection_invalidated or code in _MAY_PASS

    def reason(self, error: BaseException) -> str:
        """Omit the values that some errors quote."""
        return _VALUE.sub(r"\1 *** for ", super().reason(error))

    def create(
        self, table: sa.Table, indexes: Sequence[sa.Index], if_not_exists: bool = False
    ) -> list[CreateTable | CreateIndex]:
        """Create everything with one statement, because each statement commits."""
        table.info["indexes"] = indexes
        return [CreateTable(table, if_not_exists=if_not_exists)]

    def key(self, table: sa.Table) -> list[str]:
        """Return a key of at most 3,072 bytes."""
        return ours.key(table)

    def column_type(self, column: sa.Column[Any], sql: sa.engine.Dialect) -> str:
        """Give texts a collation, because the table's default may be any."""
        return super().column_type(column, sql) + f" {ours.TEXT}" * isinstance(column.type, sa.String)

    def change_type(self, column: sa.Column[Any], sql: sa.engine.Dialect) -> str:
        """Repeat the attributes that must be kept."""
        name, kind = sql.identifier_preparer.quote(column.name), self.column_type(column, sql)
        return f"MODIFY {name} {kind}" + " NOT NULL" * (not column.nullable)

    def columns(self, connection: sa.engine.Connection, table: sa.Table) -> dict[str, Any]:
        """Add the collations: SQLAlchemy returns a collation only if it is not the table's default."""
        found, column = super().columns(connection, table), _COLUMNS.c
        place = (column.table_schema == (table.schema or sa.func.database()), column.table_name == table.name)
        query = sa.select(column.column_name, column.collation_name).where(*place)
        for name, collation in connection.execute(query):
            found[name.lower()].collation = collation
        return found

    def differs_in_type(self, wanted: sa.Column[Any], found: Any) -> bool:
        """Require microseconds, and a collation in which different texts differ."""
        if isinstance(wanted.type, UtcTime):
            return getattr(found, "fsp", None) != 6
        if isinstance(wanted.type, sa.String):
            return found.collation not in ours.EXACT
        return not isinstance(found, sa.Integer) and super().differs_in_type(wanted, found)
