"""SQLAlchemy's statements for MariaDB and MySQL, in particular those that create tables."""

from __future__ import annotations

from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler

#: Collations of MariaDB and MySQL in which texts that differ in case, accents or trailing spaces are
#: different.
EXACT = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin")
#: Each of the two reads its own name, and treats the other one as a comment.
TEXT = "CHARACTER SET utf8mb4 COLLATE /*M!100202 {} */ /*!80017 {} */".format(*EXACT)
_KEY_BYTES = 3072


def adjust(sql: Any) -> None:
    """Change how SQLAlchemy compiles statements and detects lost connections.

    :param sql: SQLAlchemy's dialect
    """
    sql.ddl_compiler = TableCompiler
    sql.type_compiler = sql.type_compiler_instance = TypeCompiler(sql)
    # If the connection is lost, a driver's own methods may raise errors that are not DB-API errors.
    sql.do_commit, sql.do_rollback = partial(_execute, "COMMIT"), partial(_execute, "ROLLBACK")
    sql.is_disconnect = partial(_is_lost, sql.is_disconnect)


def _is_lost(known: Any, error: BaseException, *context: Any) -> bool:
    """Whether a connection is lost; SQLAlchemy expects a period that one driver's message does not have."""
    return known(error, *context) or "MySQL Connection not available" in str(error)


def _execute(statement: str, connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()


def key(table: sa.Table) -> list[str]:
    """Return the columns of a key that fits.

    The key of the run log does not contain the tenant, because a task instance has only one.
    """
    names = [column.name for column in table.primary_key]
    size = sum(4 * getattr(column.type, "length", 2) for column in table.primary_key)
    return [name for name in names if name != "tenant" or size <= _KEY_BYTES]


class TypeCompiler(MySQLTypeCompiler):
    """Times have microseconds."""

    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:
        """Write the type of a time."""
        return "DATETIME(6)"


class TableCompiler(MySQLDDLCompiler):
    """Creates a table with its indexes, because every statement commits and a second one may not run."""

    def visit_primary_key_constraint(self, constraint: Any, **kw: Any) -> str:
        """Write a key that fits."""
        return f"PRIMARY KEY ({', '.join(map(self.preparer.quote, key(constraint.table)))})"

    def create_table_constraints(self, table: sa.Table, *options: Any, **kw: Any) -> str:
        """Write the key, and the indexes that the dialect's ``create`` has stored."""
        write: Any = super().create_table_constraints
        parts = [write(table, *options, **kw)]
        for index in table.info.get("indexes", ()):
            columns = ", ".join(self.preparer.quote(column.name) for column in index.columns)
            parts.append(f"INDEX {self.preparer.quote(index.name)} ({columns})")
        return ", ".join(filter(None, parts))

    def post_create_table(self, table: sa.Table) -> str:
        """Write the options that would otherwise depend on the server's settings."""
        return f" ENGINE=InnoDB ROW_FORMAT=DYNAMIC {TEXT}"
