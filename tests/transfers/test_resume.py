"""A task that is killed and tried again ends as if nothing had happened, and does not ask all again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cc.simulator import Settings, Simulator
from tests.transfers.database import Database
from tests.transfers.killing import Moment, Tries

CHUNK, CONCURRENCY = 40, 8
FROM_LIST, FROM_DIRECTORY = "list", "directory"
#: Counts that say how the work was shared out between the tries, not what came of it.
OF_THE_TRIES = ("resumed", "requests", "sign_ins", "seconds")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Give a database of each kind that can lose a process, but not what it has committed."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("resume") / "warehouse.sqlite"
        return Database(f"sqlite:///{path}", {"conn_type": "sqlite", "host": str(path)})
    connection = request.getfixturevalue("postgres_connection")
    host, port, login = (connection[name] for name in ("host", "port", "login"))
    server = Database(f"postgresql+psycopg2://{login}@{host}:{port}/postgres", connection)
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as administrator:
        administrator.execute(sa.text("CREATE DATABASE resume"))
    engine.dispose()
    url = server.url.removesuffix("postgres") + "resume"
    return Database(url, {**connection, "schema": "resume"})


@pytest.fixture(scope="module")
def changing(certificates: Path, lasting: Database) -> Iterator[Simulator]:
    """Give a contact centre that goes through the same with each database."""
    settings = Settings(agents=400, seed=11, tls=True, cert_dir=certificates, count_accounts=True)
    with Simulator(settings) as simulator:
        yield simulator


@dataclass(frozen=True)
class Story:
    """What the database holds before the run that is killed, and after one that is not.

    :param arguments: of the operator
    :param before: every row of every table
    :param after: what :func:`outcome` says of the undisturbed run
    :param counts: what it returned
    :param asked: how often it asked for each account
    """

    arguments: dict[str, Any]
    before: dict[str, list[dict[str, Any]]]
    after: dict[str, list[Any]]
    counts: dict[str, Any]
    asked: Counter[str]


@pytest.fixture(scope="module")
def tries(changing: Simulator, lasting: Database) -> Tries:
    connections = changing.connections()
    connections["cc_management_default"]["extra"]["max_concurrency"] = CONCURRENCY
    connections["warehouse"] = dict(lasting.connection)
    return Tries({f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()})


@pytest.fixture(scope="module")
def tell(changing: Simulator, lasting: Database, tries: Tries) -> Callable[[str], Story]:
    """Let the contact centre and the database go through every kind of change; remember both ends."""
    everybody = list(changing.accounts())
    listed = [*everybody[:300], *everybody[:5], *(f"nobody{number}" for number in range(15)), " padded", ""]
    tables = {"table": "cc_agent", "history_table": "cc_agent_history", "chunk_size": CHUNK}
    arguments = {
        FROM_LIST: {**tables, "accounts": listed, "softphones": "directory"},
        FROM_DIRECTORY: {**tables, "min_snapshot_ratio": 0.1},
    }
    for account in everybody[250:260]:
        changing.remove_agent(account)  # back later
    tries.run("first", arguments[FROM_DIRECTORY])
    tries.run("second", arguments[FROM_LIST])
    for account in everybody[250:260]:
        changing.add_agent(account, agent_id=20_000 + int(account[-3:]), softphone_number="7")
    for account in everybody[0:90:3]:
        changing.change_agent(account, agent_type=11)
    for account in [*everybody[1:20:3], *everybody[300:400]]:
        changing.remove_agent(account)
    before = _rows(lasting)
    told: dict[str, Story] = {}

    def tell(source: str) -> Story:
        if source not in told:
            _put(lasting, before)
            changing.stats.reset()
            counts = tries.run("undisturbed", arguments[source])
            asked = Counter(changing.stats.accounts)
            told[source] = Story(arguments[source], before, outcome(lasting), counts, asked)
        return told[source]

    return tell


def _rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    engine, metadata = sa.create_engine(database.url), sa.MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        rows = {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return rows


def _put(database: Database, rows: dict[str, list[dict[str, Any]]]) -> None:
    engine, metadata = sa.create_engine(database.url), sa.MetaData()
    with engine.begin() as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
            if rows[table.name]:
                connection.execute(table.insert(), rows[table.name])
    engine.dispose()


def outcome(database: Database) -> dict[str, list[Any]]:
    """Return all rows of agents, history and rejects, with the number of the run in place of its stamp."""
    begun = [moment for (moment,) in database.query("SELECT started_at FROM cc_sync_run ORDER BY started_at")]

    def of_a_run(value: Any) -> Any:
        return begun.index(value) if isinstance(value, datetime) else value

    return {
        name: sorted((tuple(map(of_a_run, row)) for row in database.query(query)), key=repr)
        for name, query in {
            "agents": "SELECT * FROM cc_agent",
            "history": "SELECT * FROM cc_agent_history",
            "rejects": "SELECT account, endpoint, code, message, rejected_at FROM cc_agent_reject",
        }.items()
    }


def ledger(database: Database) -> tuple[Any, ...]:
    """Return what the ledger says of the run that was killed."""
    (row,) = database.query(
        "SELECT started_at, finished_at, synced + rejected, error FROM cc_sync_run WHERE run_id = 'killed'"
    )
    return row


def asked_again(centre: Simulator, story: Story) -> int:
    return len(Counter(centre.stats.accounts) - story.asked)


MOMENTS = {
    "with the first chunk full and nothing written": (FROM_LIST, Moment("before", 1)),
    "with a later chunk full": (FROM_LIST, Moment("before", 4)),
    "in the flush": (FROM_LIST, Moment("flush", 3)),
    "between flush and commit": (FROM_LIST, Moment("commit", 3)),
    "after the commit": (FROM_LIST, Moment("after", 3)),
    "when it closes a row that is declined": (FROM_LIST, Moment("commit", 1, "closing")),
    "in the last ledger write": (FROM_LIST, Moment("commit", 1, "finish")),
    "between two pages' chunks": (FROM_DIRECTORY, Moment("after", 3)),
    "in the flush of a page": (FROM_DIRECTORY, Moment("flush", 3)),
    "in the flush of a deactivation": (FROM_DIRECTORY, Moment("flush", 1, "closing")),
    "before a deactivation is committed": (FROM_DIRECTORY, Moment("commit", 2, "closing")),
    "between two deactivations": (FROM_DIRECTORY, Moment("after", 2, "closing")),
    "after the last deactivation": (FROM_DIRECTORY, Moment("before", 1, "finish")),
}


@pytest.mark.parametrize("when", MOMENTS)
def test_a_run_killed_ends_like_one_that_was_not(
    changing: Simulator, lasting: Database, tries: Tries, tell: Callable[[str], Story], when: str
) -> None:
    source, moment = MOMENTS[when]
    story = tell(source)
    _put(lasting, story.before)
    changing.stats.reset()

    tries.killed("killed", story.arguments, moment)
    begun, ended, committed, _ = ledger(lasting)
    assert ended is None
    counts = tries.run("killed", story.arguments)

    assert outcome(lasting) == story.after
    assert {name: value for name, value in counts.items() if name not in OF_THE_TRIES} == {
        name: value for name, value in story.counts.items() if name not in OF_THE_TRIES
    }
    assert counts["resumed"] == committed
    assert asked_again(changing, story) <= 2 * CHUNK + CONCURRENCY
    begun_then, ended_then, _, error = ledger(lasting)
    assert begun_then == begun
    assert ended_then is not None
    assert error is None
