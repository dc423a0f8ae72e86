"""The sync connects exactly as the connection's own hook does."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from airflow.providers.postgres.hooks import postgres as hooks

from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import database_of
from scripts.ports import free_port
from scripts.postgres import postgres
from tests.sync.runs import Bench
from tests.transfers.database import Database

PASSWORD = "canary-DB-passw0rd"


def tell(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], **changes: Any) -> None:
    """Tell Airflow of a warehouse."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**connection, **changes}))


@pytest.fixture(params=[2, 3])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Have the hook use each version of psycopg."""
    if request.param == 3 and sa.__version__ < "2":
        pytest.skip("SQLAlchemy 1.4 has no psycopg 3")
    monkeypatch.setattr(hooks, "USE_PSYCOPG3", request.param == 3)
    return int(request.param)


def test_settings_of_the_connection_hold(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch, driver: int
) -> None:
    extra = {"application_name": "cc sync", "options": "-c search_path=agents -c lock_timeout=1234"}
    postgres_database.execute("CREATE SCHEMA agents")
    tell(monkeypatch, dict(postgres_database.connection), extra=extra)
    bench = Bench()
    assert bench.database.engine.dialect.driver == ("psycopg2" if driver == 2 else "psycopg")
    bench.sync("one", {"ann": 1})
    with bench.database.engine.connect() as connection:
        for name, value in (("application_name", "cc sync"), ("lock_timeout", "1234ms")):
            assert connection.exec_driver_sql(f"SHOW {name}").scalar_one() == value
    assert postgres_database.query("SELECT account, agent_id FROM agents.cc_agent") == [("ann", 1)]


@pytest.mark.parametrize("cursor", ["dictcursor", "realdictcursor"])
def test_another_kind_of_cursor_is_not_in_the_way(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch, driver: int, cursor: str
) -> None:
    if (driver, cursor) == (3, "realdictcursor"):
        cursor = "namedtuplecursor"
    tell(monkeypatch, dict(postgres_database.connection), extra={"cursor": cursor})
    assert Bench().sync("one", {"ann": 1}).added == 1


class Recorder:
    """Passes on what a client says to a server, and remembers it."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.said = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._target)
            threading.Thread(target=self._copy, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, False), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, remember: bool) -> None:
        try:
            while data := source.recv(65536):
                self.said += data if remember else b""
                target.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            target.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def guarded_postgres(tmp_path: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Run a PostgreSQL that wants the password of the role "writer"; give its connection and its log."""
    with postgres(tmp_path / "guarded") as text:
        connection = json.loads(text)
        data = tmp_path / "guarded" / "data"
        rules = data / "pg_hba.conf"
        rules.write_text("host all writer 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        owner = Database(f"postgresql+psycopg2://cc@127.0.0.1:{connection['port']}/postgres", connection)
        owner.execute(f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'", "SELECT pg_reload_conf()")
        yield connection | {"login": "writer", "password": PASSWORD}, tmp_path / "guarded" / "log"


def test_a_server_without_tls_gets_no_password(
    guarded_postgres: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch, driver: int
) -> None:
    connection, _ = guarded_postgres
    with closing(Recorder(connection["port"])) as between:
        tell(monkeypatch, connection, port=between.port, extra={"sslmode": "require"})
        with pytest.raises(CCError, match="SSL was required"):
            Bench()
    assert between.connections == 1
    assert between.said == bytes.fromhex("00000008 04d2162f")  # nothing but the wish for TLS


def test_a_refused_password_is_sent_once(
    guarded_postgres: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch, driver: int
) -> None:
    connection, log = guarded_postgres
    tell(monkeypatch, connection, password="wrong")
    with pytest.raises(
        CCError, match=r"connection 'warehouse'\): .*password authentication failed"
    ) as caught:
        Bench()
    assert "\n" not in str(caught.value)
    assert log.read_text().count("password authentication failed") == 1


def test_a_role_without_create_in_public_gets_the_statements(
    guarded_postgres: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, _ = guarded_postgres
    tell(monkeypatch, connection)
    with pytest.raises(CCConfigError, match=r"schema public.*CREATE TABLE cc_agent ") as caught:
        Bench()
    owner = Database(f"postgresql+psycopg2://cc@127.0.0.1:{connection['port']}/postgres", connection)
    owner.execute(*str(caught.value).partition("privileges run: ")[2].split("; "))
    owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer")
    assert Bench().sync("one", {"ann": 1}).added == 1


@pytest.mark.parametrize(
    "conn_type", ["clickhouse", "databricks", "gaussdb", "gcpbigquery", "mssql", "oracle", "redshift"]
)
def test_any_other_database_is_refused_by_name(conn_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, {"conn_type": conn_type, "host": "127.0.0.1"})
    expected = rf"'warehouse' is not a supported database \({conn_type}, .*: .* postgresql, sqlite, duckdb"
    with pytest.raises(CCConfigError, match=expected):
        database_of("warehouse")


@pytest.mark.parametrize(
    "version",
    [
        "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.117891",
        "(openGauss 5.0.0 build a07d57c3) compiled on x86_64-unknown-linux-gnu",
        "CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)",
    ],
)
def test_a_server_that_only_speaks_like_postgresql_is_refused(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch, driver: int, version: str
) -> None:
    postgres_database.execute(
        "CREATE SCHEMA other",
        f"CREATE FUNCTION other.version() RETURNS text LANGUAGE sql AS $$ SELECT '{version}' $$",
    )
    extra = {"options": "-c search_path=other,pg_catalog,public"}
    tell(monkeypatch, dict(postgres_database.connection), extra=extra)
    with pytest.raises(CCConfigError, match=re.escape(f"not PostgreSQL but {version}")):
        Bench()


def test_what_is_no_database_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, {"conn_type": "cc_management", "host": "127.0.0.1"})
    with pytest.raises(CCConfigError, match=r"'warehouse' is not a supported database \(cc_management\): "):
        database_of("warehouse")


@pytest.fixture
def latin_1(postgres_database: Database) -> Iterator[str]:
    """Give a database in Latin 1 on the same server."""
    server = {name: postgres_database.connection[name] for name in ("host", "port")}
    with closing(psycopg2.connect(**server, user="cc", dbname="postgres")) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        yield "latin"
        cursor.execute("DROP DATABASE latin WITH (FORCE)")


def test_characters_that_the_database_lacks_cost_one_account(
    postgres_database: Database, latin_1: str, monkeypatch: pytest.MonkeyPatch, driver: int
) -> None:
    tell(monkeypatch, dict(postgres_database.connection), schema=latin_1)
    bench = Bench()
    ledger, staging = bench.run("one", ["softphone_number"])
    names = [f"user{number}" for number in range(18)] + ["andré", "張偉", "plain"]
    answers = [Answer(name, "row", staging.now(), ("7ü",)) for name in names]
    answers[-1] = Answer("plain", "row", staging.now(), ("張",))
    staging.append(answers, Counts())
    rejected = [name for name, outcome in staging.staged() if outcome == "reject"]
    assert rejected == [r"\u5f35\u5049", "plain"]
    bench.apply(ledger, ["softphone_number"], answers[:-2])
    agents, _ = bench.held()
    assert len(agents) == 19
    assert agents["andré"][0][3] == "7ü"


@pytest.fixture
def pgbouncer(postgres_database: Database, tmp_path: Path) -> Iterator[int]:
    """Run PgBouncer in transaction mode, with few connections to share; give its port."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("PgBouncer is not installed (Debian: pgbouncer)")
    server, port = postgres_database.connection, free_port()
    tmp_path.chmod(0o755)
    (tmp_path / "users").write_text('"cc" ""\n')
    settings = tmp_path / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={server['port']} dbname=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\n"
        f"auth_file = {tmp_path}/users\npool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, *user, settings], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def test_five_in_a_row_and_three_at_once_through_pgbouncer(
    postgres_database: Database, pgbouncer: int, monkeypatch: pytest.MonkeyPatch, driver: int
) -> None:
    tell(monkeypatch, dict(postgres_database.connection), port=pgbouncer)
    agents = {f"user{number}": number for number in range(1500)}
    for number in range(5):
        bench = Bench()
        counts = bench.sync(f"dag_{number}", agents)
        assert counts.added + counts.unchanged == 1500
        bench.database.close()

    def sync(number: int) -> Counts:
        return Bench().sync(f"at_once_{number}", agents | {"user0": 7000 + number}, f"tenant {number % 2}")

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(sync, range(3)))
    assert sorted(counts.added for counts in done) == [0, 1500, 1500]
