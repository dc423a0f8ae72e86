"""The views, and the queries on them that the documentation shows, beside thirty lines of Python."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.columns import AGENT_COLUMNS
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import database_of
from airflow_provider_cc.sync.ledger import Ledger
from airflow_provider_cc.sync.schema import define, prepare
from airflow_provider_cc.sync.stage import Staging
from airflow_provider_cc.sync.views import create_views
from tests.docs.pages import section
from tests.sync.runs import Bench
from tests.transfers.database import THOROUGH, Database

pytestmark = pytest.mark.each_database

DELIVERED = ["agent_id", "softphone_number"]
ACCOUNTS, NUMBERS = ["ann", "bob", "carl"], ["71", "72"]
GONE = "gone"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
EXACT, TWO, NOBODY = "exact", "two owners in the window", "number without an owner"
AFTER, GAP = "after the last complete sync", "in a gap that no complete run covers"


@dataclass
class Timeline:
    """What really happened, which runs there were, and what each of them was told.

    :param changes: account → moments, each with the new number; ``None``: no number
    :param reads: account → accepted answers, each a moment and a number, in order
    :param complete: begin and end of each complete run
    :param rejected: begin of a run, and an account that it could not read
    """

    changes: dict[str, list[tuple[datetime, str | None]]]
    reads: dict[str, list[tuple[datetime, str | None]]] = field(default_factory=dict)
    complete: list[tuple[datetime, datetime]] = field(default_factory=list)
    rejected: set[tuple[datetime, str]] = field(default_factory=set)

    def truth(self, account: str, at: datetime) -> str | None:
        return [number for moment, number in self.changes[account] if moment <= at][-1]

    def seen(self, account: str, at: datetime) -> str | None:
        return ([None] + [number for moment, number in self.reads.get(account, []) if moment <= at])[-1]

    def verdict(self, number: str, at: datetime) -> tuple[str | None, str]:
        """Return the account and the verdict of a call, by looking at every answer."""
        first = min((end for _, end in self.complete), default=None)
        if first is None or at < first:
            begin, end, verdict = None, at, GAP
        else:
            begin = max([first, *(begin for begin, _ in self.complete if first <= begin <= at)])
            later = sorted(run for run in self.complete if run[0] > at)
            following, end = later[0] if later else (None, at)
            verdict = AFTER if following is None else GAP if following - begin > timedelta(hours=3) else ""
        owners = set()
        for account, reads in self.reads.items():
            moments = [at, *(moment for moment, _ in reads if at < moment <= end)]
            if number in [self.seen(account, moment) for moment in moments]:
                owners.add(account)
        (owner,) = owners if len(owners) == 1 else (None,)
        before, after = (owner and self.seen(owner, moment) == number for moment in (at, end))
        if not verdict and not owners:
            verdict = NOBODY
        elif not verdict and not (before and after):
            verdict = TWO
        elif not verdict:
            verdict = GAP if {(begin, owner), (following, owner)} & self.rejected else EXACT
        return (owner if before else None), verdict


class World:
    """A warehouse whose clock the test sets, and a contact center that only has softphone numbers."""

    def __init__(self, database: Database, conn_id: str) -> None:
        self.database = database
        self.bench = Bench(conn_id)
        self.clock = EPOCH
        self.bench.database.dialect.now = lambda _: self.clock  # type: ignore[method-assign]
        create_views(self.bench.database, self.bench.tables)
        self.tenants = self.calls = 0
        kind = {"sqlite": "TIMESTAMP", "mysql": "DATETIME(6)"}.get(database.kind, "TIMESTAMP WITH TIME ZONE")
        attribution = query("docs/attribution.md", "## The query")
        attribution = attribution.replace("'cc_management_default' AS tenant", "tenant")
        database.execute(
            f"CREATE TABLE call_log (call_id INTEGER, tenant VARCHAR(250), softphone_number VARCHAR(64),"
            f" started_at {kind})",
            attribution,
            *statements("docs/tables.md", "#### Each change once")[:1],
        )

    def play(self, chance: random.Random) -> None:
        """Let a day pass: agents change, and syncs run, overlap, fail, resume and miss accounts."""
        self.tenants += 1
        tenant, self.clock = f"tenant {self.tenants}", EPOCH
        day = Timeline({account: [(EPOCH, chance.choice([*NUMBERS, None, GONE]))] for account in ACCOUNTS})
        for moments in day.changes.values():
            for minute in sorted(chance.sample(range(1, 600), chance.randint(0, 4))):
                moments.append((self._at(minute), chance.choice([*NUMBERS, None, GONE])))
        steps: list[tuple[int, int, str]] = []
        for number, minute in enumerate(sorted(chance.sample(range(600), chance.randint(4, 10)))):
            middle = minute + chance.randint(1, 40)
            steps += [(minute, number, "begin"), (middle, number, "read")]
            if chance.random() < 0.3:  # the attempt fails, and another one resumes the run
                steps += [(middle + 1, number, "begin"), (middle + 30, number, "read")]
                middle += 30
            if chance.random() < 0.8:
                steps.append((middle + 1, number, "end"))
        attempts: dict[int, tuple[Ledger, Staging]] = {}
        answers: dict[int, list[Answer]] = {}
        readers = {number: ACCOUNTS if chance.random() < 0.8 else ["ann"] for _, number, _ in steps}
        for minute, number, step in sorted(steps):
            self.clock = max(self.clock, self._at(minute))
            if step == "begin":
                attempts[number] = self.bench.run(f"{tenant}, {number}", DELIVERED, tenant)
                continue
            ledger, staging = attempts[number]
            ledger._now, ledger._monotonic = self.clock, time.monotonic()
            told = answers.setdefault(number, [])
            if step == "read":
                known = {answer.account for answer in told}
                asked = [account for account in readers[number] if account not in known]
                if not told and (minute + 1, number, "begin") in steps:
                    asked = asked[: chance.randint(0, 2)]
                new = [self._ask(day, account, ledger.started_at, chance) for account in asked]
                staging.append(new, Counts())
                told += new
            else:
                self._end(day, ledger, told)
                self.database.execute(*statements("docs/tables.md", "#### Each change once")[1:])
        self._ask_who_called(day, tenant, chance)

    def _at(self, minute: int) -> datetime:
        return EPOCH + timedelta(minutes=minute)

    def _ask(self, day: Timeline, account: str, since: datetime, chance: random.Random) -> Answer:
        span = (self.clock - since) // timedelta(seconds=1)
        read_at = since + timedelta(seconds=chance.randint(0, max(span, 0)))
        if chance.random() < 0.1:
            return Answer(account, "reject", read_at, (), "queryAgent", "1", "no")
        number = day.truth(account, read_at)
        if number == GONE:
            return Answer(account, "gone", read_at)
        return Answer(account, "row", read_at, (ACCOUNTS.index(account), number))

    def _end(self, day: Timeline, ledger: Ledger, answers: list[Answer]) -> None:
        self.bench.apply(ledger, DELIVERED, answers)
        for answer in answers:
            reads = day.reads.setdefault(answer.account, [])
            if answer.outcome == "reject":
                day.rejected.add((ledger.started_at, answer.account))
            elif not reads or reads[-1][0] < answer.read_at:
                reads.append((answer.read_at, answer.values[1] if answer.values else GONE))
        active = {account for account, reads in day.reads.items() if reads and reads[-1][1] != GONE}
        recent = {account for account in active if day.reads[account][-1][0] >= ledger.started_at}
        if active <= recent | {answer.account for answer in answers}:
            run = "SELECT finished_at FROM cc_sync_run WHERE run_key = :run_key"
            ((finished_at,),) = self.database.query(run, run_key=ledger.run_key)
            day.complete.append((ledger.started_at, finished_at))

    def _ask_who_called(self, day: Timeline, tenant: str, chance: random.Random) -> None:
        edges = {moment for run in day.complete for moment in run}
        edges |= {moment for reads in day.reads.values() for moment, _ in reads}
        moments = [self._at(chance.randint(0, 700)) for _ in range(10)]
        moments += [edge + timedelta(seconds=off) for edge in sorted(edges) for off in (-1, 0, 1)]
        calls = {
            self.calls + number: (chance.choice(NUMBERS), moment) for number, moment in enumerate(moments)
        }
        self.calls += len(calls)
        self.database.execute(
            "INSERT INTO call_log VALUES (:call_id, :tenant, :number, :moment)",
            rows=[
                {"call_id": call_id, "tenant": tenant, "number": number, "moment": self.written(moment)}
                for call_id, (number, moment) in calls.items()
            ],
        )
        told = self.database.query(
            "SELECT call_id, account, verdict FROM call_agent WHERE call_id >= :first ORDER BY call_id",
            first=min(calls),
        )
        wanted = [(call_id, *day.verdict(*call)) for call_id, call in sorted(calls.items())]
        assert told == wanted
        for call_id, account, verdict in told:
            number, moment = calls[call_id]
            if verdict == EXACT:
                before = max(at for at, _ in day.reads[account] if at <= moment)
                after = min([at for at, _ in day.reads[account] if at > moment] or [moment])
                hidden = [at for at, _ in day.changes[account] if before < at <= after]
                assert day.truth(account, moment) == number or len(hidden) > 1

    def written(self, moment: datetime) -> Any:
        if self.database.kind != "sqlite":
            return moment
        return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def statements(path: str, heading: str) -> list[str]:
    found: list[str] = re.findall(r"```sql\n(.*?)```", section(path, heading), re.DOTALL)
    return found


def query(path: str, heading: str) -> str:
    return statements(path, heading)[0]


@pytest.fixture
def world(database: Database, warehouse: str) -> Iterator[World]:
    return World(database, warehouse)


def test_each_call_gets_its_agent_and_the_right_verdict(world: World) -> None:
    """Random days, on each database; a consumer that runs after each sync sees each change once."""
    examples = 100 if THOROUGH else 12 if world.database.kind == "sqlite" else 3

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms())
    def check(chance: random.Random) -> None:
        world.play(chance)

    check()
    if world.database.kind == "sqlite":
        verdicts = world.database.query("SELECT DISTINCT verdict FROM call_agent")
        assert {verdict for (verdict,) in verdicts} == {EXACT, TWO, NOBODY, AFTER, GAP}
    columns = "tenant, account, column_name, old_value, new_value, changed_at, run_key"
    changes = world.database.query(f"SELECT {columns} FROM cc_agent_change")
    processed = world.database.query(f"SELECT {columns} FROM cc_agent_change_log")
    assert sorted(processed, key=repr) == sorted(changes, key=repr)
    assert len(set(changes)) == len(changes) > examples
    # Played one after the other, they end with what the agent table holds.
    state: dict[tuple[str, str], dict[str, Any]] = {}
    for tenant, account, name, old, new, _, _ in sorted(changes, key=lambda change: change[5]):
        values = state.setdefault((tenant, account), {})
        assert values.get(name, "false" if name == "is_active" else None) == old
        values[name] = new
    active = "SELECT tenant, account, softphone_number FROM cc_agent WHERE is_active"
    assert {
        (*key, values.get("softphone_number"))
        for key, values in state.items()
        if values["is_active"] == "true"
    } == set(world.database.query(active))


def test_what_looks_wrong_is_found(world: World) -> None:
    sync = world.bench.sync
    sync("one", {"ann": 1, "bob": 1, "carl": 3, "dora": 4})
    world.clock += timedelta(days=2, hours=12)
    sync("two", {"ann": 1, "bob": 1, "dora": None})
    world.database.execute("UPDATE cc_agent SET softphone_number = '71' WHERE account <> 'bob'")

    found = world.database.query("SELECT finding, account, value FROM cc_agent_finding")
    assert sorted(found, key=str) == [
        ("not_seen", "carl", None),
        ("shared_agent_id", "ann", "1"),
        ("shared_agent_id", "bob", "1"),
        ("shared_softphone_number", "ann", "71"),
        ("shared_softphone_number", "carl", "71"),
    ]
    ((days,),) = world.database.query("SELECT days FROM cc_agent_finding WHERE finding = 'not_seen'")
    assert 2.49 < days < 2.51


def test_coverage_is_of_complete_runs_of_this_table(world: World) -> None:
    """One run leaves an account out, one reads no softphone numbers, and one writes another table."""
    hour = timedelta(hours=1)

    def run(bench: Bench, hours: int, accounts: list[str], delivered: list[str] = DELIVERED) -> None:
        world.clock = EPOCH + hours * hour
        ledger, staging = bench.run(f"{hours}", delivered)
        values = {"agent_id": 1, "softphone_number": "71"}
        told = [
            Answer(it, "row", staging.now(), tuple(values[name] for name in delivered)) for it in accounts
        ]
        staging.append(told, Counts())
        bench.apply(ledger, delivered, told)

    other = Bench()
    other.tables = define(AGENT_COLUMNS, "other", "other_history", "other_reject", "cc_sync_run")
    other.database.dialect.now = lambda _: world.clock  # type: ignore[method-assign]
    prepare(other.database, other.tables)
    create_views(other.database, other.tables)
    create_views(other.database, other.tables)  # there already
    run(world.bench, 1, ["ann", "bob"])
    run(world.bench, 2, ["ann"])
    run(world.bench, 3, ["ann", "bob"], ["agent_id"])
    run(other, 4, ["ann"])
    run(world.bench, 6, ["ann", "bob"])

    rows = world.database.query("SELECT covered_from, covered_to, hours FROM cc_agent_coverage")
    (first, last) = sorted(rows, key=lambda row: row[0])
    assert first[0] - EPOCH - hour < timedelta(minutes=1)
    assert first[1:] == (last[0], pytest.approx(5, abs=0.02))
    assert last == (EPOCH + 6 * hour, None, None)
    assert len(world.database.query("SELECT * FROM other_coverage")) == 1


def test_a_role_that_may_not_create_views_gets_the_statements(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = dict(postgres_database.connection)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    Bench()
    postgres_database.execute("CREATE ROLE writer LOGIN", "GRANT USAGE ON SCHEMA public TO writer")
    try:
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**connection, "login": "writer"}))
        database, tables = (
            database_of("warehouse"),
            define(AGENT_COLUMNS, "cc_agent", "cc_agent_history", "cc_agent_reject", "cc_sync_run"),
        )
        with pytest.raises(CCConfigError, match="permission denied for schema public") as caught:
            create_views(database, tables)
        needed = str(caught.value).partition("privileges run: ")[2].split("; ")
        assert len(needed) == 4
        postgres_database.execute(*needed)
        create_views(database, tables)
    finally:
        database.close()
        postgres_database.execute("DROP OWNED BY writer", "DROP ROLE writer")
