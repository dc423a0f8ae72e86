"""A database that the sync writes to and a test looks into."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from scripts.mariadb import sqlalchemy_url

#: Whether what is left to chance is tried often: `make test-hard`.
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "long"
#: The one warehouse to test with, in an environment of its own: `make test-snowflake`.
ONLY = os.environ.get("WAREHOUSE")
TABLES = ("cc_agent", "cc_agent_history", "cc_agent_reject", "cc_sync_run")
#: Settings of MariaDB servers: as they come, and as unlike the sync's own as can be.
_MARIADB = {
    "utf8mb4": ("utf8mb4_general_ci", "+00:00", "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"),
    "latin1": ("latin1_swedish_ci", "+08:00", ""),
}


_number = itertools.count(1)
T = TypeVar("T")


def warehouses(*names: str) -> list[str]:
    """Return the kinds of database that a test is for, in the environment that it runs in."""
    return [ONLY] if ONLY else list(names)


def on_each_database(test: T) -> T:
    """Run a test on a database of each kind, since it is about what one may do differently from another."""
    kinds = warehouses("sqlite", "duckdb", "postgres", "mariadb")
    marked: T = pytest.mark.each_database(pytest.mark.parametrize("database", kinds, indirect=True)(test))
    return marked


@dataclass(frozen=True)
class Database:
    """A database, as SQLAlchemy and as Airflow name it.

    Nothing stays open between calls: DuckDB admits one process at a time.
    """

    url: str
    connection: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Return whose SQL it is: Turso's is SQLite's."""
        return str(self.connection["conn_type"]).replace("turso", "sqlite")

    def execute(self, *statements: str, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        """Run statements in one transaction, each once for every row, if there are any."""
        engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                if rows:
                    connection.execute(sa.text(statement), list(rows))
                else:
                    connection.exec_driver_sql(statement)

    def query(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query, moments in UTC."""
        engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            return [tuple(map(_plain, row)) for row in connection.execute(sa.text(sql), values)]

    def tables(self) -> set[str]:
        """Return the names of all tables that are not the database's own."""
        if self.kind == "sqlite":
            sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
        elif self.kind == "snowflake":
            sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'PUBLIC'"
        elif self.kind == "mysql":
            sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
        else:
            sql = (
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
        names = {name for (name,) in self.query(sql)}
        return {name.lower() if name.isupper() else name for name in names}

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table."""
        return {name: sorted(self.query(f"SELECT * FROM {name}"), key=repr) for name in self.tables()}


def empty_postgres(connection: Mapping[str, Any]) -> Database:
    """Empty a PostgreSQL database of what other tests have left there."""
    host, port, login = (connection[name] for name in ("host", "port", "login"))
    database = Database(f"postgresql+psycopg2://{login}@{host}:{port}/postgres", connection)
    schemas = database.query("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_)'")
    database.execute(*(f'DROP SCHEMA "{name}" CASCADE' for (name,) in schemas), "CREATE SCHEMA public")
    return database


def empty_mariadb(
    connection: Mapping[str, Any], charset: str = "utf8mb4", name: str = "warehouse"
) -> Database:
    """Empty a database of MariaDB of what other tests have left there, and set up the server."""
    collation, zone, mode = _MARIADB[charset]
    Database(sqlalchemy_url(connection, ""), connection).execute(
        f"SET GLOBAL collation_server = '{collation}', time_zone = '{zone}', sql_mode = '{mode}'",
        f"DROP DATABASE IF EXISTS {name}",
        f"DROP DATABASE IF EXISTS {name}_2",
        f"CREATE DATABASE {name} COLLATE {collation}",
    )
    return Database(sqlalchemy_url(connection, name), {**connection, "schema": name})


def new_snowflake(connection: Mapping[str, Any]) -> Database:
    """Return a database that no other test has used."""
    extra = {**connection["extra"], "database": f"CC_{next(_number)}"}
    place = f"{extra['host']}:{extra['port']}/{extra['database']}/public?account={extra['account']}"
    url = f"snowflake://{connection['login']}:{connection['password']}@{place}"
    return Database(url, {**connection, "extra": extra})


def _plain(value: Any) -> Any:
    """Return moments alike, however a database hands them out."""
    if isinstance(value, str) and len(value) == 26 and value[4:5] == "-" and value[10:11] == " ":
        value = datetime.fromisoformat(value)  # SQLite keeps them as text
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value
