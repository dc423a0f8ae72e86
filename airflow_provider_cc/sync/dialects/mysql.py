"""MariaDB and MySQL, by MySQL Connector/Python or mysqlclient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler
from sqlalchemy.schema import CreateIndex, CreateTable

from airflow_provider_cc.sync.dialects.base import Dialect, UtcTime

#: Different characters differ, and so do trailing blanks. Each server takes the other one's name for a comment.
_EXACT = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin")
_TEXT = "CHARACTER SET utf8mb4 COLLATE /*M!100202 {} */ /*!80017 {} */".format(*_EXACT)
#: A text that is too long is an error, and a statement sees what has been committed before it.
_SESSION = (
    "SET sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES'), time_zone = '+00:00'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
)
#: Conflicts, shut-downs, and connections that cannot be had now or were lost.
_MAY_PASS = {1020, 1040, 1047, 1053, 1203, 1205, 1213, 1927, 2002, 2003, 2005, 2006, 2013, 2055, 4031}
_VALUE = re.compile("(entry|value:?) '.*' for ")
_KEY_BYTES, _SECONDS = 3072, 10
_COLUMNS = sa.table(
    "columns",
    *map(sa.column, ("table_schema", "table_name", "column_name", "collation_name")),
    schema="information_schema",
)
_Sql = TypeVar("_Sql", bound=sa.engine.Dialect)


class _Types(MySQLTypeCompiler):
    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:
        return "DATETIME(6)"


class _Tables(MySQLDDLCompiler):
    def visit_primary_key_constraint(self, constraint: Any, **kw: Any) -> str:
        return f"PRIMARY KEY ({', '.join(map(self.preparer.quote, _key(constraint.table)))})"

    def create_table_constraints(self, table: sa.Table, **kw: Any) -> str:
        parts = [super().create_table_constraints(table, **kw)]
        for index in table.info["indexes"]:
            columns = ", ".join(self.preparer.quote(column.name) for column in index.columns)
            parts.append(f"INDEX {self.preparer.quote(index.name)} ({columns})")
        return ", ".join(filter(None, parts))

    def post_create_table(self, table: sa.Table) -> str:
        return f" ENGINE=InnoDB ROW_FORMAT=DYNAMIC {_TEXT}"


def _key(table: sa.Table) -> list[str]:
    """Return a key that fits: the ledger's is one without the tenant, of which a task instance has one."""
    names = [column.name for column in table.primary_key]
    size = sum(4 * getattr(column.type, "length", 2) for column in table.primary_key)
    return [name for name in names if name != "tenant" or size <= _KEY_BYTES]


def _with_our_types(sql: _Sql) -> _Sql:
    sql.ddl_compiler = _Tables
    sql.type_compiler = sql.type_compiler_instance = _Types(sql)
    return sql


class MySQL(Dialect):
    """MariaDB and MySQL."""

    name = "mysql"

    def __init__(self, hook: Any) -> None:
        super().__init__(hook)
        self.schema = hook.schema or hook.get_connection().schema
        self._first: Any = None

    def engine(self) -> sa.engine.Engine:
        engine = super().engine()
        _with_our_types(engine.dialect)
        return engine

    def sql(self) -> sa.engine.Dialect:
        return _with_our_types(super().sql())

    def driver(self) -> str:
        """Find out which driver the hook uses: only its connections tell."""
        self._first = self.hook.get_conn()
        package = type(self._first).__module__.partition(".")[0].lower()
        return f"{self.name}+{'mysqlconnector' if package == 'mysql' else package}"

    def connect(self) -> Any:
        """Open a connection as the hook does, for all characters and cursors of the usual kind."""
        connection, self._first = self._first or self.hook.get_conn(), None
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

    def lock(self, connection: sa.engine.Connection, name: str) -> None:
        """Take a lock of the connection, which is closed, not kept, when the transaction has ended."""
        connection.detach()
        unique = sa.func.sha2(sa.func.concat_ws(".", sa.func.database(), name), 256)
        while connection.execute(sa.select(sa.func.get_lock(unique, _SECONDS))).scalar_one() != 1:
            pass

    def now(self, connection: sa.engine.Connection) -> datetime:
        moment: datetime = connection.execute(sa.select(sa.func.utc_timestamp(sa.text("6")))).scalar_one()
        return moment.replace(tzinfo=UTC)

    def may_pass(self, error: sa.exc.DBAPIError) -> bool:
        """Look at the error code."""
        code = getattr(error.orig, "errno", None) or (error.orig and error.orig.args[0])
        return error.connection_invalidated or code in _MAY_PASS

    def reason(self, error: BaseException) -> str:
        """Leave out the values that some errors quote."""
        return _VALUE.sub(r"\1 *** for ", super().reason(error))

    def create(
        self, table: sa.Table, indexes: Sequence[sa.Index], if_not_exists: bool = False
    ) -> list[CreateTable | CreateIndex]:
        """Make all by one statement: each commits, and a next one may never come."""
        table.info["indexes"] = indexes
        return [CreateTable(table, if_not_exists=if_not_exists)]

    def key(self, table: sa.Table) -> list[str]:
        return _key(table)

    def column_type(self, column: sa.Column[Any], sql: sa.engine.Dialect) -> str:
        return super().column_type(column, sql) + f" {_TEXT}" * isinstance(column.type, sa.String)

    def change_type(self, column: sa.Column[Any], sql: sa.engine.Dialect) -> str:
        name, kind = sql.identifier_preparer.quote(column.name), self.column_type(column, sql)
        return f"MODIFY {name} {kind}" + " NOT NULL" * (not column.nullable)

    def columns(self, connection: sa.engine.Connection, table: sa.Table) -> dict[str, Any]:
        """Add the collations: SQLAlchemy tells one only where it is not the table's."""
        found, column = super().columns(connection, table), _COLUMNS.c
        place = (column.table_schema == (table.schema or sa.func.database()), column.table_name == table.name)
        for name, collation in connection.execute(
            sa.select(column.column_name, column.collation_name).where(*place)
        ):
            found[name.lower()].collation = collation
        return found

    def differs_in_type(self, wanted: sa.Column[Any], found: Any) -> bool:
        """Insist on microseconds, and on a collation in which different texts differ."""
        if isinstance(wanted.type, UtcTime):
            return getattr(found, "fsp", None) != 6
        if isinstance(wanted.type, sa.String):
            return found.collation not in _EXACT
        return not isinstance(found, sa.Numeric | sa.Integer) and super().differs_in_type(wanted, found)
