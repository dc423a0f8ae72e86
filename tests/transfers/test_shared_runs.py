"""Many tasks that share a run leave what one task leaves, and each may fail, come late or begin again."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pendulum
import pytest
import sqlalchemy as sa
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_cc.api.management import DirectoryAgent
from airflow_provider_cc.exceptions import CCAuthError, CCError
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync.columns import AGENT_COLUMNS, Column
from airflow_provider_cc.sync.ledger import Ledger
from airflow_provider_cc.sync.shards import shard_of
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator, cc_agents_sync
from tests.transfers.conftest import Log, MakeCenter, Sync
from tests.transfers.database import Database, on_each_database
from tests.variables import Variables

SHARDS = 3
TABLES: dict[str, Any] = {"history_table": "cc_agent_history", "chunk_size": 20}
#: Counts that say how the work was shared out, not what came of it.
OF_THE_TASKS = ("resumed", "requests", "sign_ins", "throttled_seconds", "seconds", "tenant")


@dataclass
class Group:
    """A task group in a DAG, whose tasks a test runs by itself, in any order and as often as it likes.

    :param arguments: of the group
    :param run_id: of the DAG run
    """

    arguments: Mapping[str, Any]
    run_id: str = "run"
    dag: DAG = field(init=False)

    def __post_init__(self) -> None:
        with DAG("shared", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")) as self.dag:
            cc_agents_sync("sync", sql_conn_id="warehouse", **{"shards": SHARDS, **self.arguments})

    def prepare(self) -> dict[str, Any]:
        return self._execute(self.dag.get_task("sync.prepare"))

    def read(self, *shards: int) -> list[dict[str, Any]]:
        """Read some shards, or all."""
        mapped = self.dag.get_task("sync.read")
        return [
            self._execute(mapped.unmap({"shard": shard}), shard)
            for shard in shards or range(self.arguments.get("shards", SHARDS))
        ]

    def apply(self) -> dict[str, Any]:
        return self._execute(self.dag.get_task("sync.apply"))

    def run(self) -> dict[str, Any]:
        """Run all tasks; return what the last one does."""
        self.prepare()
        self.read()
        return self.apply()

    def _execute(self, task: Any, map_index: int = -1) -> dict[str, Any]:
        # Airflow 2 wraps it so that it can be called in the main thread only; some tests call it in another.
        execute: Callable[..., dict[str, Any]] = inspect.unwrap(type(task).execute)
        return execute(task, {"ti": SimpleNamespace(run_id=self.run_id, map_index=map_index)})


def content(database: Database, tenant: str) -> dict[str, list[Any]]:
    """Return what is in the tables, but for when and by which task it was written."""
    values = "account, agent_id, agent_type, agent_status, softphone_number"
    is_open = "CASE WHEN valid_to IS NULL THEN 1 ELSE 0 END"
    columns = {
        "rows": f"{values}, is_active FROM cc_agent",
        "versions": f"{values}, {is_open} FROM cc_agent_history",
        "rejects": "run_id, account, endpoint, code, message FROM cc_agent_reject",
    }
    return {
        name: sorted(database.query(f"SELECT {it} WHERE tenant = :tenant", tenant=tenant), key=repr)
        for name, it in columns.items()
    }


def what_came_of_it(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in counts.items() if name not in OF_THE_TASKS}


def sources(center: Simulator) -> dict[str, dict[str, Any]]:
    everybody = list(center.accounts())
    passwords = {account: center.agent(account).password for account in everybody[:110]}
    listed = [*everybody[:90], *everybody[:5], "nobody1", "nobody2", " padded", "名前", ""]
    return {
        "list": {"accounts": listed, "softphones": "directory"},
        "list_without_numbers": {"accounts": listed, "softphones": "none"},
        "directory": {"min_snapshot_ratio": 0.1},
        "directory_with_passwords": {"softphones": "login_params", "operator": knowing(passwords)},
    }


def knowing(passwords: Mapping[str, str]) -> type[CCAgentsToSqlOperator]:
    class Knowing(CCAgentsToSqlOperator):
        def account_passwords(self) -> Mapping[str, str]:
            return passwords

    return Knowing


@pytest.mark.parametrize("source", ["list_without_numbers", "directory", "directory_with_passwords"])
def test_the_same_as_one_task(
    source: str, make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    compare(source, make_center, sqlite_database, sqlite_sync)


@on_each_database
def test_the_same_as_one_task_on_each_database(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    compare("list", make_center, database, sync)


def compare(source: str, make_center: MakeCenter, database: Database, sync: Sync) -> None:
    """Load for the first time, then after changes, with agents that are gone and lines that are no agents."""
    center = make_center(120, directory_also={3: {"phone": "4711"}, 7: {"phone": "4712"}})
    arguments = {**TABLES, **sources(center)[source]}

    def change() -> None:
        for account in list(center.accounts())[::7]:
            center.change_agent(account, agent_type=11)
        for account in list(center.accounts())[:40:4]:
            center.remove_agent(account)

    for run_id, event in (("first", lambda: None), ("second", change)):
        event()
        center.stats.reset()
        expected = sync(run_id=run_id, tenant="alone", **arguments)
        asked = center.stats.requests("agentAccount/query")
        counts = Group({**arguments, "tenant": "shared"}, run_id).run()

        assert what_came_of_it(counts) == what_came_of_it(expected)
        # The pages of the directory, and accounts that it was asked for one by one: not once for each shard.
        assert center.stats.requests("agentAccount/query") == 2 * asked

    alone, shared = content(database, "alone"), content(database, "shared")
    assert shared == alone
    assert shared["rows"]
    ledger = "SELECT task_id, map_index, run_id, error FROM cc_sync_run WHERE tenant = 'shared'"
    assert sorted(database.query(ledger)) == [("sync", -1, "first", None), ("sync", -1, "second", None)]
    assert database.query("SELECT COUNT(*) FROM cc_agent_stage") == [(0,)]


def test_every_account_has_one_shard() -> None:
    """The hash is not Python's own, which differs from process to process."""
    accounts = [f"agent{number:06d}" for number in range(12_000)]
    for shards in (1, 2, 7, 12):
        sizes = [0] * shards
        for account in accounts:
            sizes[shard_of(account, shards)] += 1
        assert min(sizes) > 0.9 * 12_000 / shards
    assert shard_of("agent000001", 1000) == 732


def test_a_shard_that_fails_changes_nothing_and_resumes_its_own_part(
    make_center: MakeCenter, postgres_database: Database, postgres_sync: Sync
) -> None:
    center = make_center(120)
    postgres_sync(task_id="alone", **TABLES)
    before = content(postgres_database, "cc_management_default")
    for account in center.accounts():
        center.change_agent(account, agent_type=11)
    group = Group({**TABLES, "accounts": list(center.accounts()), "softphones": "none", "chunk_size": 10})
    prepared = group.prepare()
    group.read(0, 2)
    ((started_at,),) = postgres_database.query("SELECT started_at FROM cc_sync_run WHERE task_id = 'sync'")
    center.stats.reset()
    mine = [account for account in center.accounts() if shard_of(account, SHARDS) == 1]
    center.faults.overrides = {mine[-1]: (200, "not json")}  # all others are read before
    stopped = Group({**group.arguments, "max_rejects": 0})

    with pytest.raises(CCError, match="1 accounts rejected, more than max_rejects=0"):
        stopped.read(1)
    with pytest.raises(CCError, match="Shards 1 of 3 were not read completely, so nothing was applied"):
        group.apply()

    assert prepared["accounts"] == 120
    assert content(postgres_database, "cc_management_default") == before
    ((error,),) = postgres_database.query("SELECT error FROM cc_sync_run WHERE task_id = 'sync'")
    assert error.startswith("Shards 1 of 3")
    center.faults.overrides = {}
    center.stats.reset()
    (again,) = group.read(1)
    counts = group.apply()

    asked = set(center.stats.accounts)
    assert {mine[-1]} <= asked < set(mine)
    assert (again["resumed"], again["unique"]) == (len(mine) - len(asked), len(mine))
    assert (counts["changed"], counts["synced"], counts["resumed"]) == (120, 120, again["resumed"])
    ledger = "SELECT started_at, synced, error FROM cc_sync_run WHERE task_id = 'sync'"
    assert postgres_database.query(ledger) == [(started_at, 120, None)]


@on_each_database
def test_an_attempt_that_comes_late_writes_nothing(
    make_center: MakeCenter, database: Database, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither beside the attempt that has replaced it, nor after the run was applied."""
    center = make_center(60)
    group = Group({**TABLES, "accounts": list(center.accounts()), "softphones": "none"})
    group.prepare()
    late: list[Callable[[], None]] = []

    from airflow_provider_cc.sync.stage import Staging

    original = Staging.append

    def append(staging: Staging, answers: Any, *rest: Any) -> None:
        """Let a newer attempt of the same shard do all, before this one stages what it has."""
        if not late:
            late.append(lambda: original(staging, answers, *rest))
            group.read(0)
        original(staging, answers, *rest)

    monkeypatch.setattr(Staging, "append", append)
    with pytest.raises(CCError, match="Run taken over by a newer attempt"):
        group.read(0)
    group.read(1, 2)
    counts = group.apply()
    with pytest.raises(CCError, match="Run taken over by a newer attempt"):
        late[0]()

    assert counts["added"] == 60
    assert database.query("SELECT COUNT(*) FROM cc_agent_stage") == [(0,)]
    with pytest.raises(CCError, match="Clear the group's first task"):
        group.read(0)
    assert group.apply()["added"] == 60  # an attempt that was killed after its commit


def test_a_shard_that_begins_again_while_the_run_is_applied(
    make_center: MakeCenter, postgres_database: Database, postgres_sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    center = make_center(60)
    group = Group({**TABLES, "accounts": list(center.accounts()), "softphones": "none"})
    group.prepare()
    group.read()
    original = Ledger.lock

    def lock(ledger: Ledger, connection: sa.engine.Connection) -> None:
        monkeypatch.setattr(Ledger, "lock", original)
        group.read(1)
        original(ledger, connection)

    monkeypatch.setattr(Ledger, "lock", lock)
    with pytest.raises(CCError, match="A shard is being read again"):
        group.apply()

    assert postgres_database.query("SELECT COUNT(*) FROM cc_agent") == [(0,)]
    assert group.apply()["added"] == 60


def test_a_cleared_group_reads_everything_anew_even_with_other_shards(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center = make_center(60)
    arguments = {**TABLES, "accounts": list(center.accounts()), "softphones": "none"}
    group = Group(arguments)
    group.prepare()
    group.read(0, 1)

    counts = Group({**arguments, "shards": 5}).run()
    again = group.run()

    assert (counts["added"], counts["resumed"]) == (60, 0)
    assert (again["unchanged"], again["requests"], again["resumed"]) == (60, 60, 0)
    assert sqlite_database.query("SELECT COUNT(*) FROM cc_sync_run WHERE finished_at IS NOT NULL") == [(2,)]


def test_a_group_that_is_cleared_before_its_end_resumes(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center = make_center(60)
    group = Group({**TABLES, "accounts": list(center.accounts()), "softphones": "none"})
    group.prepare()
    group.read(0, 1)

    counts = group.run()

    assert counts["requests"] == 60
    assert counts["resumed"] == sum(shard_of(account, SHARDS) < 2 for account in center.accounts())


def test_rejects_are_judged_over_all_shards(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    """A shard may have nothing but rejects; the share of the whole counts."""
    center = make_center(60)
    mine = [account for account in center.accounts() if shard_of(account, SHARDS) == 1]
    others = [account for account in center.accounts() if account not in mine]
    center.faults.overrides = dict.fromkeys(mine, (200, {"returnCode": "0", "agentInfo": None}))
    group = Group({"accounts": [*mine, *others], "softphones": "none", "max_rejects": len(mine) / 60})

    assert (group.run()["rejected"], len(mine) / 60 < 0.5) == (len(mine), True)

    center.faults.overrides |= {others[0]: (200, "not json")}
    group.run_id = "another"
    group.prepare()
    group.read()
    before = sqlite_database.dump()["cc_agent"]
    with pytest.raises(CCError, match=f"{len(mine) + 1} accounts rejected, more than max_rejects="):
        group.apply()
    assert sqlite_database.dump()["cc_agent"] == before

    center.faults.overrides = {}
    assert group.run()["synced"] == 60  # cleared: the rejects are asked for again


def test_a_directory_that_lost_its_agents_is_not_confirmed_one_by_one(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center = make_center(60)
    Group(TABLES).run()
    for account in list(center.accounts())[:50]:
        center.remove_agent(account)
    center.stats.reset()
    group = Group(TABLES, "another")

    with pytest.raises(CCError, match=r"Directory returned 10 accounts, below the minimum of 30"):
        group.prepare()

    assert center.stats.requests() < 5
    assert sqlite_database.query("SELECT COUNT(*) FROM cc_agent WHERE is_active = 1") == [(60,)]


def test_shards_share_a_session(
    make_center: MakeCenter,
    sqlite_database: Database,
    sqlite_sync: Sync,
    variables: Variables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All tasks sign in once; when the session ends on the way, each signs in once at most."""
    center = make_center(60)
    connection = center.connections()["cc_management_default"]
    connection["extra"] |= {"share_session": True}
    monkeypatch.setenv("AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT", json.dumps(connection))
    group = Group({**TABLES, "accounts": list(center.accounts()), "softphones": "none"})

    counts = group.run()

    assert (center.stats.sign_ins(), counts["sign_ins"]) == (1, 1)

    center.stats.reset()
    group.run_id = "another"
    group.prepare()
    for shard in range(SHARDS):
        center.expire_sessions()
        group.read(shard)
    assert center.stats.sign_ins() == SHARDS
    assert group.apply()["unchanged"] == 60


def test_a_refused_credential_is_sent_once(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync, variables: Variables
) -> None:
    """Not by every shard: the vendor locks an account after three."""
    center = make_center(60)
    center.faults.refuse_sign_ins = {"management"}
    group = Group({**TABLES, "accounts": list(center.accounts()), "softphones": "none"})

    with pytest.raises(CCAuthError):
        group.prepare()

    assert center.stats.refused() == 1
    ((error,),) = sqlite_database.query("SELECT error FROM cc_sync_run")
    assert "token" in error


def test_rate_and_concurrency_hold_for_all_shards(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    center = make_center(60)
    connection = center.connections()["cc_management_default"]
    connection["extra"] |= {"max_concurrency": 8, "requests_per_second": 60}
    monkeypatch.setenv("AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT", json.dumps(connection))
    group = Group({**TABLES, "accounts": list(center.accounts()), "softphones": "none"})
    mapped = group.dag.get_task("sync.read")

    parts = [mapped.unmap({"shard": shard}).hook.settings for shard in range(SHARDS)]

    assert [part.max_concurrency for part in parts] == [2, 3, 3]
    assert [part.requests_per_second for part in parts] == [20, 20, 20]
    group.prepare()
    (counts,) = group.read(0)
    assert counts["seconds"] > (counts["requests"] - 1) / 20


class WithKind(CCAgentsToSqlOperator):
    columns: ClassVar[tuple[Column, ...]] = (
        *AGENT_COLUMNS,
        Column("kind", sa.String(20), {DirectoryAgent: lambda agent: f"kind {agent.agent_type}"}),
    )


def test_an_operator_of_the_users_own(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center = make_center(12)

    Group({"operator": WithKind}).run()

    assert dict(sqlite_database.query("SELECT account, kind FROM cc_agent")) == {
        account: f"kind {center.agent(account).agent_type}" for account in center.accounts()
    }


def test_a_dry_run_is_made_by_one_task_and_writes_nothing(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    make_center(12)
    group = Group({**TABLES, "dry_run": True, "outlets": [Asset("cc_agent")]})

    assert [task.task_id for task in group.dag.tasks] == ["sync.apply"]
    assert group.apply()["added"] == 12
    assert sqlite_database.tables() == set()


def test_too_many_shards_are_mentioned_once(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync, log: Log
) -> None:
    make_center(12)

    Group(TABLES).run()

    told = "starting a task takes longer than it saves: set shards to 1"
    assert len([message for message in log.messages if told in message]) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"shards": 0}, "shards must be from 1 to 1000, not 0"),
        ({"cc_conn_id": ["a", "b"], "tenant": "one"}, "tenant cannot be set for several contact centers"),
    ],
)
def test_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Group(arguments)
