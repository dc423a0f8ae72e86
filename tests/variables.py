"""The Airflow Variables of the process that runs the tests."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_cc.compat import get_variable, set_variable


class Variables:
    """Real ones, in a metadata database of the tests' own.

    :param database: its file
    """

    def __init__(self, database: Path) -> None:
        self._database = database

    def __getitem__(self, key: str) -> str:
        return str(get_variable(key))

    def __setitem__(self, key: str, value: str) -> None:
        set_variable(key, value)

    def all(self, prefix: str = "") -> dict[str, str]:
        """Return those whose name begins so."""
        keys = [key for (key,) in self._do("SELECT key FROM variable ORDER BY key")]
        return {key: self[key] for key in keys if key.startswith(prefix)}

    def delete(self, key: str | None = None) -> None:
        """Delete one, or all."""
        self._do(f"DELETE FROM variable{'' if key is None else ' WHERE key = ?'}", *([key] if key else []))

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Let nobody read or write them for a while."""
        self._do("ALTER TABLE variable RENAME TO variable_away")
        try:
            yield
        finally:
            self._do("ALTER TABLE variable_away RENAME TO variable")

    def _do(self, sql: str, *values: str) -> list[tuple[str]]:
        with contextlib.closing(sqlite3.connect(self._database, timeout=30)) as connection, connection:
            return connection.execute(sql, values).fetchall()
