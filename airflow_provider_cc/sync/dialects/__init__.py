"""Differences between databases, one class for each; only this package depends on the database."""

from __future__ import annotations

from importlib.metadata import entry_points

from airflow_provider_cc.sync.dialects.base import Dialect
from airflow_provider_cc.sync.dialects.duckdb import DuckDB
from airflow_provider_cc.sync.dialects.mysql import MySQL
from airflow_provider_cc.sync.dialects.postgresql import PostgreSQL
from airflow_provider_cc.sync.dialects.snowflake import Snowflake
from airflow_provider_cc.sync.dialects.sqlite import SQLite

#: The supported databases.
DIALECTS: dict[str, type[Dialect]] = {
    kind.name: kind for kind in (PostgreSQL, SQLite, DuckDB, MySQL, Snowflake)
}

#: Entry points of other packages that add a database, each named after its connection type or SQLAlchemy's
#: dialect.
GROUP = "airflow_provider_cc.dialects"

__all__ = ["DIALECTS", "GROUP", "Dialect", "find"]


def find(name: str) -> type[Dialect] | None:
    """Return the dialect with this name, from this package or another one.

    :param name: connection type, or SQLAlchemy's name of a dialect
    """
    if name not in DIALECTS:
        for entry in entry_points(group=GROUP, name=name):
            DIALECTS[name] = entry.load()
    return DIALECTS.get(name)
