"""What databases do differently, one class for each; only this package knows which database it is."""

from __future__ import annotations

from importlib.metadata import entry_points

from airflow_provider_cc.sync.dialects.base import Dialect
from airflow_provider_cc.sync.dialects.duckdb import DuckDB
from airflow_provider_cc.sync.dialects.mysql import MySQL
from airflow_provider_cc.sync.dialects.postgresql import PostgreSQL
from airflow_provider_cc.sync.dialects.snowflake import Snowflake
from airflow_provider_cc.sync.dialects.sqlite import SQLite

#: The databases that are supported: one more is one more class.
DIALECTS: dict[str, type[Dialect]] = {
    kind.name: kind for kind in (PostgreSQL, SQLite, DuckDB, MySQL, Snowflake)
}

#: The entry points of other packages that add a database, each named like its connections' type, or like
#: SQLAlchemy's dialect.
GROUP = "airflow_provider_cc.dialects"

__all__ = ["DIALECTS", "GROUP", "Dialect", "find"]


def find(name: str) -> type[Dialect] | None:
    """Return the dialect of that name, of this package or of another one.

    :param name: connection type, or SQLAlchemy's name of a dialect
    """
    if name not in DIALECTS:
        for entry in entry_points(group=GROUP, name=name):
            DIALECTS[name] = entry.load()
    return DIALECTS.get(name)
