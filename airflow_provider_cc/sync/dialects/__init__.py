"""What databases do differently, one class for each; only this package knows which database it is."""

from __future__ import annotations

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

__all__ = ["DIALECTS", "Dialect"]
