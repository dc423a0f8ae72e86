"""What is Snowflake's alone: no keys, few and large statements, sign-in, errors, and names in capitals."""

from __future__ import annotations

import json
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.simulator.certificates import provide_certificates
from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.columns import AGENT_COLUMNS
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import database_of
from airflow_provider_cc.sync.dialects.snowflake import Snowflake
from airflow_provider_cc.sync.schema import define
from airflow_provider_cc.transfers.lineage import lineage
from tests.sync.runs import Bench
from tests.transfers.database import Database


@pytest.fixture
def bench(snowflake_database: Database, monkeypatch: pytest.MonkeyPatch) -> Bench:
    tell(monkeypatch, snowflake_database)
    return Bench()


def tell(monkeypatch: pytest.MonkeyPatch, database: Database, **changes: Any) -> None:
    """Tell Airflow of the warehouse."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**database.connection, **changes}))


def statements_of(bench: Bench) -> list[str]:
    """Note each statement that is sent from now on."""
    seen: list[str] = []
    sa.event.listen(bench.database.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    return seen


def copy_rows(database: Database, table: str) -> None:
    """Insert all rows a second time: no key keeps them out."""
    database.execute(f"INSERT INTO {table} SELECT * FROM {table}")


def test_two_answers_for_one_account_become_one_row(bench: Bench, snowflake_database: Database) -> None:
    ledger, staging = bench.run("one", ["agent_id"])
    answers = [Answer(name, "row", staging.now(), (1,)) for name in ("ann", "bob", "cid")]
    staging.append(answers, Counts())
    copy_rows(snowflake_database, "cc_agent_stage")
    staging.append([Answer("ann", "row", staging.now(), (2,))], Counts())
    assert len(list(staging.staged())) == 7

    counts = bench.apply(ledger, ["agent_id"], answers)

    assert (counts.added, counts.rejected) == (3, 0)
    assert snowflake_database.query("SELECT account, agent_id FROM cc_agent ORDER BY account") == [
        ("ann", 2),
        ("bob", 1),
        ("cid", 1),
    ]
    assert snowflake_database.query("SELECT count(*) FROM cc_agent_history") == [(3,)]
    assert snowflake_database.query("SELECT count(*) FROM cc_agent_stage") == [(0,)]


def test_an_account_is_rejected_once_however_often_that_was_staged(
    bench: Bench, snowflake_database: Database
) -> None:
    ledger, staging = bench.run("one", ["agent_id"])
    answers = [Answer("ann", "reject", staging.now(), (), "queryAgent", "1", "no")]
    staging.append(answers, Counts())
    copy_rows(snowflake_database, "cc_agent_stage")

    bench.apply(ledger, ["agent_id"], answers)

    assert snowflake_database.query("SELECT account FROM cc_agent_reject") == [("ann",)]


def test_a_batch_that_is_sent_again_is_staged_once(bench: Bench) -> None:
    ledger, staging = bench.run("one", ["agent_id"])
    answers = [Answer("ann", "row", staging.now(), (1,))]
    staging.append(answers, Counts())
    ledger.commits -= 1  # the answer to the first COMMIT was lost

    staging.append(answers, Counts())

    assert list(staging.staged()) == [("ann", "row")]


def test_runs_at_once_make_one_row_of_each_account(bench: Bench, snowflake_database: Database) -> None:
    agents = {f"user{number}": number for number in range(20)}

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda number: Bench().sync(f"at_once_{number}", agents), range(3)))

    assert sum(counts.added for counts in done) == 20
    for table in ("cc_agent", "cc_agent_history"):
        found = snowflake_database.query(f"SELECT count(*), count(DISTINCT account) FROM {table}")
        assert found == [(20, 20)]


def test_of_two_attempts_that_begin_at_once_one_stops(bench: Bench, snowflake_database: Database) -> None:
    bench.run("one", ["agent_id"])
    benches = [Bench(), Bench()]

    def attempt(number: int) -> str | None:
        _, staging = benches[number].run("one", ["agent_id"])
        both_have_begun.wait(30)
        try:
            staging.append([Answer("ann", "row", staging.now(), (number,))], Counts())
        except CCError as error:
            return str(error)
        return None

    both_have_begun = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(attempt, range(2)), key=bool)

    assert said[0] is None
    assert "taken over by a newer attempt" in str(said[1])
    assert snowflake_database.query("SELECT tries FROM cc_sync_run") == [(3,)]


def test_a_run_takes_few_statements_whatever_its_size(bench: Bench) -> None:
    seen = statements_of(bench)
    numbers = []
    for dag, agents in (("one", {f"user{number}": number for number in range(300)}), ("two", {"user7": 1})):
        bench.sync(dag, {**agents, "user1": None} if dag == "two" else agents)
        numbers.append(len(seen))
        seen.clear()
        for name in range(300):  # all of them change
            agents[f"user{name}"] = name + 1000
    assert bench.sync("three", agents).changed == 299
    assert max(*numbers, len(seen)) < 32


def test_a_statement_is_below_the_limit_of_snowflake(bench: Bench, snowflake_database: Database) -> None:
    _, staging = bench.run("one", ["agent_id"])
    sizes: list[int] = []
    sa.event.listen(
        bench.database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, rows, *rest: (
            sizes.append(sum(len(str(row["message"]).encode()) for row in rows))
            if "INSERT" in statement
            else None
        ),
    )
    text = "張" * 3000
    answers = [
        Answer(f"user{number}", "reject", staging.now(), (), "queryAgent", "1", text) for number in range(150)
    ]

    staging.append(answers, Counts())

    assert len(sizes) == 2
    assert max(sizes) < 800_000
    assert snowflake_database.query("SELECT count(*) FROM cc_agent_stage WHERE message = :m", m=text) == [
        (150,)
    ]


def test_a_refused_password_is_sent_once(
    snowflake_database: Database, snowflake_log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snowflake_log.read_text().count("password refused")
    tell(monkeypatch, snowflake_database, password="wrong-canary")

    with pytest.raises(CCError, match=r"'warehouse'\): .*Incorrect username or password") as caught:
        Bench()

    assert "canary" not in str(caught.value)
    assert snowflake_log.read_text().count("password refused") == before + 1


@pytest.mark.parametrize(
    ("status", "setting", "sent", "said"),
    [
        (503, None, 2, "Could not connect to Snowflake"),
        (503, "0", 1, "Could not connect to Snowflake"),
        (403, None, 1, "Verify the account name is correct"),
    ],
)
def test_without_an_answer_the_client_sends_a_password_as_often_as_documented(
    snowflake_server: dict[str, Any],
    snowflake_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    setting: str | None,
    sent: int,
    said: str,
) -> None:
    seen: list[str] = []

    class Overloaded(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.path.partition("?")[0])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    if setting is not None:
        monkeypatch.setenv("MAX_CON_RETRY_ATTEMPTS", setting)
    files = provide_certificates(Path(snowflake_server["log"]).parent / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Overloaded) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        extra = {**snowflake_database.connection["extra"], "port": server.server_address[1]}
        tell(monkeypatch, snowflake_database, extra=extra)
        with pytest.raises(CCError, match=rf"connection 'warehouse'\): .*{said}"):
            Bench()
        server.shutdown()

    assert seen == ["/session/v1/login-request"] * sent


def test_a_table_is_found_under_its_name_in_capitals(bench: Bench, snowflake_database: Database) -> None:
    bench.sync("one", {"ann": 1})

    assert snowflake_database.query('SELECT "ACCOUNT", "AGENT_ID" FROM "CC_AGENT"') == [("ann", 1)]


def test_timestamps_without_a_zone_are_refused_with_statements_that_work(
    bench: Bench, snowflake_database: Database
) -> None:
    bench.sync("one", {"ann": 1})
    before = bench.held()
    snowflake_database.execute(
        "ALTER TABLE cc_agent RENAME COLUMN changed_at TO was",
        "ALTER TABLE cc_agent ADD COLUMN changed_at TIMESTAMP_NTZ",
        "UPDATE cc_agent SET changed_at = CAST(was AS TIMESTAMP_NTZ)",
        "ALTER TABLE cc_agent DROP COLUMN was",
    )

    with pytest.raises(CCConfigError, match="changed_at is DATETIME, not TIMESTAMP_TZ") as caught:
        Bench()

    snowflake_database.execute(*str(caught.value).partition("different table: ")[2].split("; "))
    again = Bench()
    assert again.held() == before
    assert again.sync("two", {"ann": 1}).unchanged == 1


@pytest.mark.parametrize(
    ("code", "state", "expected"),
    [
        (625, "57014", True),  # too many wait for a lock
        (604, "57014", True),  # canceled, or out of time
        (250002, "08003", True),  # the connection is closed
        (390100, "08001", False),  # a wrong password
        (250001, "08001", False),  # no connection, which the client has tried twice
        (2003, "42S02", False),  # no such table, or no right to it
    ],
)
def test_only_what_may_pass_is_tried_again(
    snowflake_database: Database, code: int, state: str, expected: bool
) -> None:
    from snowflake.connector.errors import DatabaseError

    error = sa.exc.DBAPIError("SELECT 1", None, DatabaseError(msg="no", errno=code, sqlstate=state))

    assert Snowflake(None).may_pass(error) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Numeric value 'ann's 7' is not recognized", "Numeric value *** is not recognized"),
        ("String '88\n88' is too long and would", "String *** is too long and would"),
        (
            "SQL compilation error:\nObject 'CC_AGENT' does not exist or not authorized.",
            "SQL compilation error: Object 'CC_AGENT' does not exist or not authorized.",
        ),
    ],
)
def test_an_error_says_all_but_the_values(snowflake_database: Database, said: str, expected: str) -> None:
    assert Snowflake(None).reason(Exception(said)) == expected


def test_openlineage_gets_full_names_in_capitals(
    snowflake_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"account": "xy12345", "database": "warehouse"}
    tell(monkeypatch, snowflake_database, extra=extra)
    tables = define(AGENT_COLUMNS, "cc_agent", None, "other.cc_agent_reject", "cc_sync_run")
    written = [(tables.agent, 2), (tables.reject, 1)]

    told = lineage("warehouse", written, "SELECT account FROM hr.staff", [])

    assert [table.name for table in told.outputs] == [
        "WAREHOUSE.PUBLIC.CC_AGENT",
        "WAREHOUSE.OTHER.CC_AGENT_REJECT",
    ]
    assert [table.name for table in told.inputs] == ["WAREHOUSE.HR.STAFF"]
    (namespace,) = {table.namespace for table in (*told.outputs, *told.inputs)}
    assert namespace.startswith("snowflake://xy12345")


def test_the_statements_for_the_tables_need_no_connection(
    snowflake_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, snowflake_database, password="wrong")

    text = str(
        sa.schema.CreateTable(define(AGENT_COLUMNS, "a", "b", "c", "d").agent).compile(
            dialect=database_of("warehouse").dialect.sql()
        )
    )

    assert "synced_at TIMESTAMP_TZ NOT NULL" in text
    assert "PRIMARY KEY" not in text
