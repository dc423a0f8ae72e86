"""The rules of the sync, told twice: by the statements of `apply`, and by thirty lines of Python."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.apply import Application
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.ledger import Ledger
from airflow_provider_cc.sync.stage import Staging
from tests.sync.runs import NAMES, Bench
from tests.transfers.database import Database as Warehouse

pytestmark = pytest.mark.each_database

ACCOUNTS = ["ann", "Ann", "böb", "o'neil", "%s:x\\", "張"]
VALUES: list[Any] = [None, 1, 2, 7]


@dataclass
class Interpreter:
    """What the tables must hold: account → (values, is_active, first_seen_at, changed_at, synced_at)."""

    agents: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    history: dict[str, list[list[Any]]] = field(default_factory=dict)

    def apply(self, delivered: Sequence[str], answers: Sequence[Answer]) -> None:
        for answer in answers:
            row = self.agents.get(answer.account)
            if answer.outcome == "reject" or (row and row[4] >= answer.read_at):
                continue
            at = answer.read_at
            if answer.outcome == "gone":
                if row and row[1]:
                    self.agents[answer.account] = (row[0], False, row[2], at, at)
                    self.history[answer.account][-1][2] = at
                continue
            old = dict(zip(NAMES, row[0], strict=True)) if row else dict.fromkeys(NAMES)
            values = tuple((old | dict(zip(delivered, answer.values, strict=True))).values())
            same = row is not None and row[1] and row[0] == values
            changed = row[3] if row and same else at
            self.agents[answer.account] = (values, True, row[2] if row else at, changed, at)
            if not same:
                versions = self.history.setdefault(answer.account, [])
                if versions and versions[-1][2] is None:
                    versions[-1][2] = at
                versions.append([values, at, None])


@pytest.fixture
def bench(warehouse: str) -> Bench:
    return Bench(warehouse)


def _answers(chance: random.Random, delivered: Sequence[str], moments: Sequence[datetime]) -> list[Answer]:
    answers = []
    for account in chance.sample(ACCOUNTS, chance.randint(1, len(ACCOUNTS))):
        at = chance.choice(moments)
        outcome = chance.choices(["row", "gone", "reject"], [6, 2, 1])[0]
        if outcome == "row":
            values = tuple(
                (lambda value: value if name.endswith(("id", "type")) else value and str(value))(
                    chance.choice(VALUES)
                )
                for name in delivered
            )
            answers.append(Answer(account, "row", at, values))
        else:
            told = ("queryAgent", "1", "no") if outcome == "reject" else ("", "", "")
            answers.append(Answer(account, outcome, at, (), *told))
    return answers


@pytest.mark.parametrize("seed", range(4))
def test_statements_and_interpreter_agree(bench: Bench, seed: int) -> None:
    """Random answers of two DAGs with different columns, applied in another order than they were read."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    rules = Interpreter()
    start = bench.run("first", NAMES)[0].now()
    moments = [start + timedelta(seconds=second, microseconds=second) for second in range(1, 60)]
    for number in range(10):
        delivered = chance.choice([NAMES, NAMES[:3], ["softphone_number"]])
        answers = _answers(chance, delivered, moments)
        ledger, staging = bench.run(f"dag_{number}", delivered)
        staging.append(answers, Counts())
        bench.apply(ledger, delivered, answers)
        rules.apply(delivered, answers)
    agents, history = bench.held()
    assert agents == rules.agents
    assert history == rules.history
    for account, versions in history.items():
        for (_, _, end), (_, begin, _) in pairwise(versions):
            assert end is not None, account
            assert end <= begin, account
        assert (versions[-1][2] is None) is agents[account][1]


def test_a_failed_apply_changes_nothing(bench: Bench) -> None:
    ledger, staging = bench.run("one", NAMES)
    staging.append([Answer("ann", "row", staging.now(), (1, 2, "0", "7"))], Counts())
    with pytest.raises(CCError, match="2 accounts were read, but 1 are staged"):
        Application(bench.database, bench.tables, ledger, NAMES).apply(Counts(synced=2), 0.0)
    assert bench.held() == ({}, {})
    assert list(staging.staged()) == [("ann", "row")]


def test_a_tenant_sees_only_its_own(bench: Bench) -> None:
    for tenant, value in (("north", 1), ("south", 2)):
        ledger, staging = bench.run("one", ["agent_id"], tenant)
        answers = [Answer("ann", "row", staging.now(), (value,))]
        staging.append(answers, Counts())
        bench.apply(ledger, ["agent_id"], answers)
    assert [bench.held(tenant)[0]["ann"][0][0] for tenant in ("north", "south")] == [1, 2]


def test_the_later_attempt_wins(bench: Bench) -> None:
    ledger, staging = bench.run("one", ["agent_id"])
    staging.append([Answer("ann", "row", staging.now(), (1,))], Counts(requests=1))
    _, later = bench.run("one", ["agent_id"])
    with pytest.raises(CCError, match="taken over by a newer attempt"):
        staging.append([Answer("bob", "row", staging.now(), (1,))], Counts())
    with pytest.raises(CCError, match="taken over by a newer attempt"):
        bench.apply(ledger, ["agent_id"], [])
    assert list(later.staged()) == [("ann", "row")]


def test_two_airflows_with_the_same_dag_do_not_share_a_run(bench: Bench) -> None:
    _, staging = bench.run("one", ["agent_id"])
    staging.append([Answer("ann", "row", staging.now(), (1,))], Counts())
    key = {"dag_id": "one", "task_id": "t", "run_id": "r", "map_index": -1, "tenant": "north"}
    elsewhere = Ledger(bench.database, bench.tables, key, "elsewhere")
    assert elsewhere.begin("accounts") is None
    assert list(Staging(bench.database, bench.tables, elsewhere, ["agent_id"]).staged()) == []


def test_old_answers_are_read_anew(bench: Bench) -> None:
    _, staging = bench.run("one", ["agent_id"])
    now = staging.now()
    answers = [
        Answer("old", "row", now - timedelta(hours=6, seconds=1), (1,)),
        Answer("young", "row", now - timedelta(hours=5, minutes=59), (1,)),
    ]
    staging.append(answers, Counts())
    assert list(bench.run("one", ["agent_id"])[1].staged()) == [("young", "row")]


def test_too_many_closed_rows_stop_the_run(bench: Bench) -> None:
    ledger, staging = bench.run("one", ["agent_id"])
    here = [Answer(name, "row", staging.now(), (1,)) for name in ACCOUNTS]
    staging.append(here, Counts())
    bench.apply(ledger, ["agent_id"], here)
    before = bench.held()
    ledger, staging = bench.run("two", ["agent_id"])
    staging.append([Answer(name, "gone", staging.now()) for name in ACCOUNTS[:4]], Counts())
    with pytest.raises(CCError, match="4 of 6 active rows would be closed"):
        Application(bench.database, bench.tables, ledger, ["agent_id"]).apply(Counts(), 0.5)
    assert bench.held() == before


def test_history_that_was_not_kept_comes_right(warehouse: str) -> None:
    """Switched on after the first run, off for a change and a closing, and on again."""
    with_history, without = Bench(warehouse), Bench(warehouse, history=False)
    rules = Interpreter()
    steps = [
        (without, {"ann": 1, "bob": 1, "cid": 1}),
        (with_history, {"ann": 1, "bob": 1, "cid": 1}),
        (without, {"ann": 2, "bob": None, "cid": 1}),
        (with_history, {"ann": 2, "cid": 1}),
        (with_history, {"ann": 3, "bob": 4, "cid": 1}),
    ]
    for number, (bench, values) in enumerate(steps):
        ledger, staging = bench.run(f"dag_{number}", ["agent_id"])
        answers = [
            Answer(name, "gone", staging.now())
            if value is None
            else Answer(name, "row", staging.now(), (value,))
            for name, value in values.items()
        ]
        staging.append(answers, Counts())
        bench.apply(ledger, ["agent_id"], answers)
        rules.apply(["agent_id"], answers)
    assert with_history.held() == (rules.agents, rules.history)


def test_what_a_column_cannot_hold_is_a_reject(bench: Bench) -> None:
    _, staging = bench.run("one", ["agent_id", "softphone_number"])
    answers = [
        Answer("ann", "row", staging.now(), (1, "7")),
        Answer("long", "row", staging.now(), (1, "7" * 65)),
        Answer("large", "row", staging.now(), (2**31, "7")),
        Answer("zero", "row", staging.now(), (1, "7\0")),
    ]
    staging.append(answers, Counts())
    assert dict(staging.staged()) == {"ann": "row", "long": "reject", "large": "reject", "zero": "reject"}


def test_stamps_are_in_utc_wherever_the_server_is(
    database: Warehouse, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        if database.kind == "postgres":
            database.execute("ALTER DATABASE postgres SET timezone = 'Asia/Shanghai'")
        bench = Bench()
        before = datetime.now(tz=UTC) - timedelta(milliseconds=2)  # SQLite's clock has milliseconds
        bench.sync("one", {"ann": 1})
        bench.sync("two", {"ann": 2})
        agents, history = bench.held()
        assert before < agents["ann"][2] < agents["ann"][4] < datetime.now(tz=UTC) + timedelta(milliseconds=2)
        assert [begin for _, begin, _ in history["ann"]] == [agents["ann"][2], agents["ann"][3]]
    finally:
        monkeypatch.undo()
        time.tzset()
        if database.kind == "postgres":
            database.execute("ALTER DATABASE postgres RESET timezone")
