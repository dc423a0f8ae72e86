"""Snowflake: no keys that hold, no row locks, and a price for each statement."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.sync.dialects.base import Dialect

#: Bytes of the rows of one statement: Snowflake advises to keep a statement below 1 MB, and escapes take some.
_BYTES = 700_000
#: A lock that was waited for too long or by too many, a statement that was canceled, a lost connection.
_MAY_PASS = {604, 625, 630, 250002, 250003}
_NOT_CONNECTED = "08001"
_VALUE = re.compile(r"(?i)(value|string|timestamp|number|boolean) '.*?' (?=is |are |cannot )", re.DOTALL)
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "BOOLEAN": sa.Boolean(),
    "DATE": sa.Date(),
    "TIMESTAMP_NTZ": sa.DateTime(),
    **dict.fromkeys(("TIMESTAMP_TZ", "TIMESTAMP_LTZ"), sa.DateTime(timezone=True)),
    **dict.fromkeys(("VARCHAR", "TEXT", "STRING"), sa.String()),
    **dict.fromkeys(("NUMBER", "FLOAT", "DECFLOAT"), sa.Numeric()),
}


class Snowflake(Dialect):
    """Snowflake."""

    name = "snowflake"
    indexes = False

    def adjust(self, sql: Any) -> None:
        """Leave out keys: one that is declared holds nothing together, but other programs rely on it."""
        sql.ddl_compiler = type("_Tables", (sql.ddl_compiler,), {"visit_primary_key_constraint": _no_key})
        sql.is_disconnect = lambda error, connection, cursor: error.errno in (250002, 250003)

    def driver(self) -> str:
        """Connect: a password that is refused here is not sent by a second transaction."""
        return self.package()

    def connect(self) -> Any:
        """Open a connection that does not commit after each statement, which Snowflake's do by default."""
        connection = self.open()
        connection.autocommit(False)
        return connection

    def lock(self, connection: sa.engine.Connection, name: str, runs: sa.Table | None = None) -> None:
        """Update the ledger: until the transaction ends, no other one can update any row of it."""
        if runs is not None:
            connection.execute(sa.update(runs).values(tries=runs.c.tries))

    def append(
        self,
        connection: sa.engine.Connection,
        table: sa.Table,
        names: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """Insert thousands of rows by each statement."""
        for batch in _batches(rows):
            connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in batch])

    def before_apply(
        self, connection: sa.engine.Connection, stage: sa.Table, run_key: str, rows: int
    ) -> None:
        """Keep the latest answer of each account: there is no key to keep a second one out."""
        mine, count = stage.c.run_key == run_key, sa.func.count
        numbers = sa.select(count(), count(stage.c.account.distinct())).where(mine)
        if len(set(connection.execute(numbers).one())) == 1:
            return
        names = [column.name for column in stage.columns if column.name != "run_key"]
        order = (stage.c.read_at.desc(), stage.c.outcome.desc())
        place = sa.func.row_number().over(partition_by=stage.c.account, order_by=order).label("place")
        ranked = sa.select(*(stage.c[name] for name in names), place).where(mine).subquery()
        kept = uuid.uuid4().hex
        first = sa.select(sa.literal(kept), *(ranked.c[name] for name in names)).where(ranked.c.place == 1)
        connection.execute(stage.insert().from_select(["run_key", *names], first, include_defaults=False))
        connection.execute(sa.delete(stage).where(mine))
        connection.execute(sa.update(stage).where(stage.c.run_key == kept).values(run_key=run_key))

    def may_pass(self, error: sa.exc.DBAPIError) -> bool:
        """Look at the error code; Snowflake's client has tried again by itself to connect."""
        code, state = (getattr(error.orig, name, None) for name in ("errno", "sqlstate"))
        return state != _NOT_CONNECTED and (code in _MAY_PASS or "aborted" in str(error.orig))

    def reason(self, error: BaseException) -> str:
        """Return all lines, as the first has the least to say, without the values that some errors quote."""
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        return _VALUE.sub(r"\1 *** ", said) or type(error).__name__

    def key(self, table: sa.Table) -> list[str]:
        """Return nothing: no key is enforced."""
        return []

    def keys(self, connection: sa.engine.Connection, table: sa.Table) -> list[Sequence[str | None]]:
        """Return nothing."""
        return []

    def columns(self, connection: sa.engine.Connection, table: sa.Table) -> dict[str, Any]:
        """Describe one table: SQLAlchemy would have all of the schema described."""
        name = connection.dialect.identifier_preparer.format_table(table)
        found = connection.exec_driver_sql(f"DESC TABLE {name}")
        return {row[0].lower(): _TYPES.get(row[1].partition("(")[0], sa.types.NullType()) for row in found}

    def change_type(self, column: sa.Column[Any], sql: sa.engine.Dialect) -> str:
        """Replace the column: Snowflake changes no type into another."""
        quote, kind = sql.identifier_preparer, self.column_type(column, sql)
        table, name, old = (
            quote.format_table(column.table),
            quote.quote(column.name),
            quote.quote(f"{column.name}_old"),
        )
        return (
            f"RENAME COLUMN {name} TO {old}; ALTER TABLE {table} ADD COLUMN {name} {kind}; "
            f"UPDATE {table} SET {name} = CAST({old} AS {kind}); ALTER TABLE {table} DROP COLUMN {old}"
        )


def _no_key(compiler: Any, constraint: Any, **kw: Any) -> None:
    """Write no key."""


def _batches(rows: Sequence[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        length = len(str(row).encode(errors="replace"))
        if batch and size + length > _BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch
