"""Every query in the documentation runs as it is printed, on every database that is tested."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_cc.simulator import Simulator
from tests.docs.pages import Block, blocks, page
from tests.transfers.conftest import Sync
from tests.transfers.database import Database, on_each_database

ANN, BOB, CARL = "agent000001", "agent000002", "agent000003"


@pytest.fixture
def tables(database: Database, center: Simulator, sync: Sync) -> Database:
    """Two runs, between which the agents change, rejects, a run that failed, and calls at every moment."""
    history = {"history_table": "cc_agent_history", "max_rejects": 1.0, "create_views": True}
    everybody = [*center.accounts(), "nobody"]
    number = center.agent(ANN).softphone_number
    sync(accounts=everybody, **history)
    center.change_agent(ANN, softphone_number="555")
    center.change_agent(BOB, softphone_number=number)
    center.remove_agent(CARL)
    sync(**history)
    sync(accounts=everybody, **history)
    with pytest.raises(Exception, match="max_rejects"):
        sync(accounts=["nobody", "noone"], tenant="other", max_rejects=0)

    kind = {"sqlite": "TIMESTAMP", "mysql": "DATETIME(6)"}.get(database.kind, "TIMESTAMP WITH TIME ZONE")
    database.execute(
        f"CREATE TABLE call_log (call_id INTEGER, softphone_number VARCHAR(64), started_at {kind})"
    )
    database.execute("CREATE TABLE cc_account (account VARCHAR(100))")
    people = [{"account": account} for account in (ANN, BOB, CARL, "newcomer")]
    database.execute("INSERT INTO cc_account VALUES (:account)", rows=people)
    begun = "SELECT valid_from FROM cc_agent_history WHERE account = :account ORDER BY valid_from"
    (first,), (second,) = database.query(begun, account=ANN)[0], database.query(begun, account=BOB)[-1]
    moments = [first - timedelta(days=1), first, second - (second - first) / 2, second]
    database.execute(
        "INSERT INTO call_log VALUES (:call_id, :number, :moment)",
        rows=[
            {"call_id": call_id, "number": number, "moment": _written(database, moment)}
            for call_id, moment in enumerate(moments)
        ],
    )
    return database


def runs(database: Database) -> list[datetime]:
    return [begun for (begun,) in database.query("SELECT started_at FROM cc_sync_run ORDER BY started_at")]


def _written(database: Database, moment: datetime) -> Any:
    if database.kind != "sqlite":
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def below(heading: str) -> str:
    """Return the query below a heading of the page on tables."""
    text = page("docs/tables.md").partition(f"\n### {heading}\n")[2]
    found = re.search(r"```sql\n(.*?)```", text, re.DOTALL)
    assert found, heading
    return found[1]


@on_each_database
def test_queries_run_and_tell_the_truth(tables: Database, center: Simulator, sync: Sync) -> None:
    for block in blocks("sql", ""):
        if block.code.lstrip().startswith(("CREATE", "INSERT", "DELETE")):
            tables.execute(block.code)
        else:
            tables.query(block.code)

    number = center.agent(BOB).softphone_number

    held = tables.query(below("Who had it when a call came in"))
    assert [(call_id, account) for call_id, _, account, _ in held] == [
        (0, None),
        (1, ANN),
        (2, ANN),
        (3, BOB),
    ]

    now = tables.query(below("Who has a softphone number now").replace("72962970", number))
    assert [account for _, account, _ in now] == [BOB]

    versions = tables.query(below("What an agent was before").replace(CARL, ANN))
    assert [row[-1] for row in versions] == [number, "555"]

    per_type = tables.query(below("Active agents per type"))
    assert sum(agents for _, _, agents in per_type) == 39

    rejects = tables.query(below("Rejects of the last run"))
    assert rejects == [("cc_management_default", "queryAgentInfoByAccount", "no_agent", 2)]
    staged = tables.query(below("Rejects of a run that failed"))
    assert staged == [("other", "queryAgentInfoByAccount", "no_agent", 2)]

    ((tenant, active, oldest, finished),) = tables.query(below("Freshness"))
    assert (tenant, active) == ("cc_management_default", 39)
    assert runs(tables)[2] <= oldest <= finished

    ((*_, error),) = tables.query(below("Runs that did not end"))
    assert "max_rejects" in error

    shared = below("No softphone number belongs to two active agents")
    assert tables.query(shared) == []
    center.change_agent(ANN, softphone_number=number)
    sync()
    assert tables.query(shared) == [("cc_management_default", number, 2, ANN, BOB)]

    # Cleaning up leaves what is current.
    before = tables.query("SELECT COUNT(*) FROM cc_agent_history WHERE valid_to IS NULL")
    for block in _clean_ups():
        tables.execute(block.code.replace("2026-01-01", "2999-01-01"))

    assert tables.query("SELECT COUNT(*) FROM cc_agent_reject") == [(0,)]
    assert tables.query("SELECT COUNT(*) FROM cc_sync_run") == [(1,)]
    assert tables.query("SELECT COUNT(*) FROM cc_agent_history") == before


@on_each_database
def test_a_call_gets_its_agent_and_a_verdict(tables: Database, center: Simulator) -> None:
    """The number goes from Ann to Bob between the first two runs."""
    query, share, by_verdict = (block.code for block in blocks("sql") if "attribution" in str(block))
    tables.execute(query)
    edges = (
        "SELECT started_at, finished_at FROM cc_sync_run WHERE finished_at IS NOT NULL ORDER BY started_at"
    )
    (begun, ended), second, third = tables.query(edges)
    moments = [begun, *(run[0] - (run[0] - end) / 2 for end, run in ((ended, second), (second[1], third)))]
    number = center.agent(BOB).softphone_number
    tables.execute(
        "INSERT INTO call_log VALUES (:call_id, :number, :moment)",
        rows=[
            {"call_id": call_id, "number": number, "moment": _written(tables, moment)}
            for call_id, moment in enumerate([*moments, third[1]], 10)
        ],
    )

    told = tables.query("SELECT account, verdict FROM call_agent WHERE call_id >= 10 ORDER BY call_id")
    assert told == [
        (None, "in a gap that no complete run covers"),
        (None, "two owners in the window"),
        (BOB, "exact"),
        (BOB, "after the last complete sync"),
    ]
    counted = tables.query(by_verdict)
    exact = sum(calls for verdict, calls in counted if verdict == "exact")
    ((attributable,),) = tables.query(share)
    assert float(attributable) == pytest.approx(exact / 8)

    # By agent ID instead, as the page says; Bob's is the same all the time.
    agent_id = center.agent(BOB).agent_id
    tables.execute(
        "ALTER TABLE call_log ADD COLUMN agent_id INTEGER",
        f"UPDATE call_log SET agent_id = {agent_id}",
        query.replace("softphone_number", "agent_id").replace("call_agent", "call_by_id"),
    )
    by_id = "SELECT account, verdict FROM call_by_id WHERE call_id IN (11, 12)"
    assert tables.query(by_id) == [(BOB, "exact")] * 2


def _clean_ups() -> list[Block]:
    return [block for block in blocks("sql") if block.code.startswith("DELETE")]
