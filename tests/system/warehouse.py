"""A database that Airflow writes to and a test looks into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy


@dataclass(frozen=True)
class Warehouse:
    """A database, as SQLAlchemy and as Airflow name it.

    Nothing stays open between calls: DuckDB admits one process at a time.
    """

    url: str
    connection: dict[str, Any]

    def execute(self, *statements: str, rows: list[dict[str, Any]] | None = None) -> None:
        """Run statements in one transaction, each once for every row, if there are any."""
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.pool.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(sqlalchemy.text(statement), *([rows] if rows else []))
        engine.dispose()

    def add_accounts(self, accounts: Iterable[str]) -> None:
        """Make a table ``cc_account`` with a column ``account``, for ``accounts_sql``."""
        self.execute("CREATE TABLE cc_account (account VARCHAR(64))")
        rows = [{"account": account} for account in accounts]
        self.execute("INSERT INTO cc_account VALUES (:account)", rows=rows)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.pool.NullPool)
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(sqlalchemy.text(sql))]
        engine.dispose()
        return rows
