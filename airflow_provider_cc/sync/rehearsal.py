"""A dry run: the same statements as in a real run, on a private copy of the agent table."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, ClassVar

import sqlalchemy as sa

from airflow_provider_cc.sync.columns import Column
from airflow_provider_cc.sync.database import FETCH, Database
from airflow_provider_cc.sync.dialects.sqlite import SQLite
from airflow_provider_cc.sync.schema import Tables, check, define, prepare


class _Scratch(SQLite):
    """A database without a name: SQLite removes its file from the folder as soon as it is open."""

    pool: ClassVar[type[sa.pool.Pool]] = sa.pool.StaticPool

    def __init__(self, warehouse: Database) -> None:
        super().__init__(None)
        self._warehouse = warehouse

    def connect(self) -> Any:
        return sqlite3.connect("", check_same_thread=False)

    def now(self, connection: sa.engine.Connection) -> datetime:
        return self._warehouse.transaction(self._warehouse.dialect.now)


def rehearsal(
    warehouse: Database, tables: Tables, columns: Sequence[Column], tenant: str
) -> tuple[Database, Tables]:
    """Return a private database and its tables, with the tenant's agents in them.

    The warehouse is only read: the SELECT privilege is enough.

    :param warehouse: the warehouse
    :param tables: its tables
    :param columns: the columns of an agent
    :param tenant: tenant of the agents
    :raises CCConfigError: an existing table does not fit
    """
    scratch = Database(_Scratch(warehouse), "the dry run")
    copy = define(columns, "cc_agent", None, "cc_agent_reject", "cc_sync_run")
    for column in copy.agent.columns:  # a column that the user added is null at first
        column.nullable = not column.primary_key
    prepare(scratch, copy)

    def is_there(connection: sa.engine.Connection) -> bool:
        found: bool = sa.inspect(connection).has_table(tables.agent.name, schema=tables.agent.schema)
        if found:
            check(connection, warehouse.dialect, [tables.agent])
        return found

    if warehouse.transaction(is_there):
        names = [column.name for column in copy.agent.columns]
        rows = warehouse.stream(sa.select(tables.agent).where(tables.agent.c.tenant == tenant))
        while batch := [dict(zip(names, row, strict=True)) for row in islice(rows, FETCH)]:
            scratch.transaction(partial(_insert, copy.agent, batch))
    return scratch, copy


def _insert(table: sa.Table, rows: list[dict[str, Any]], connection: sa.engine.Connection) -> None:
    connection.execute(table.insert(), rows)
