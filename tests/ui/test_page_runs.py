"""What the page shows is what Airflow's metadata database says, in few queries."""

from __future__ import annotations

import time
from types import ModuleType

import pytest
import sqlalchemy as sa
from airflow import settings
from airflow.utils.session import create_session

from airflow_provider_cc.ui.runs import Run, Status, Target, by_target, dags_with_syncs, latest_runs
from tests.ui.metadata import TaskRun, insert, result, target


def runs(each: int = 30, **arguments: object) -> list[Run]:
    with create_session(scoped=False) as session:
        return latest_runs(session, dags_with_syncs(session), each, **arguments)  # type: ignore[arg-type]


def statuses() -> dict[str, Status]:
    return {status.target.tenant: status for status in by_target(runs())}


def test_forty_tenants_with_a_thousand_runs_each_take_less_than_a_second(metadata: ModuleType) -> None:
    told = {f"tenant{number:02}": target(f"tenant{number:02}") for number in range(40)}
    returned = result(reject_reasons={f"queryAgentInfoByAccount: {code}": code for code in range(1, 21)})
    insert(
        TaskRun(tenant, hours, told=told[tenant], returned=returned)
        for tenant in told
        for hours in range(1000)
    )
    statements: list[str] = []
    sa.event.listen(settings.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))

    began = time.process_time()  # SQLite works in this process; a busy machine counts for nothing
    found = statuses()
    seconds = time.process_time() - began

    assert list(found) == sorted(told)
    assert {len(status.history) for status in found.values()} == {30}
    assert len(statements) <= 3, statements
    assert seconds < 1


def test_a_subclass_is_found_and_other_tasks_are_not(metadata: ModuleType) -> None:
    insert(
        [
            TaskRun("own", 1, told=target("own"), returned=result(), operator="OurAgents"),
            TaskRun("other", 1, returned=result(), operator="CCAgentsToSqlOperator"),
        ]
    )

    assert [run.dag_id for run in runs()] == ["own"]


def test_tenants_of_a_mapped_task_are_told_apart(metadata: ModuleType) -> None:
    insert(
        TaskRun("mapped", hours, map_index=index, told=target(tenant), returned=result(active=index))
        for index, tenant in enumerate(("north", "south"))
        for hours in range(40)
    )

    found = statuses()

    assert list(found) == ["north", "south"]
    assert [status.synced.counts["active"] for status in found.values() if status.synced] == [0, 1]
    assert {len(status.history) for status in found.values()} == {30}
    assert {run.map_index for run in runs(task_id="sync", map_index=1)} == {1}


def test_two_syncs_of_one_table_are_one_status(metadata: ModuleType) -> None:
    insert(
        [
            TaskRun("directory", 1, told=target("north"), returned=result(added=1)),
            TaskRun("accounts", 2, told=target("north"), returned=result(added=2)),
            TaskRun("directory", 3, told=target("north", sql_conn_id="elsewhere"), returned=result()),
        ]
    )

    here, elsewhere = sorted(by_target(runs()), key=lambda status: len(status.syncs), reverse=True)

    assert elsewhere.target == Target("elsewhere", "cc_agent", "north")
    assert [sync.dag_id for sync in here.syncs] == ["accounts", "directory"]
    assert here.latest.counts["added"] == 2
    assert [point.started for point in here.history] == sorted(
        (point.started for point in here.history), reverse=True
    )


def test_only_a_run_that_wrote_makes_a_table_fresh(metadata: ModuleType) -> None:
    returned = result(active=992)
    insert(
        [
            TaskRun("north", 1, told=target("north"), returned=returned),
            TaskRun("north", 2, told=target("north"), state="failed", attempts=3),
            TaskRun("north", 3, state="failed"),  # before it said what it writes to
            TaskRun("north", 4, told=target("north", dry_run=True), returned=result(active=1)),
            TaskRun("north", 5, told=target("north"), state="running", attempts=2),
        ]
    )

    status = statuses()["north"]

    assert status.synced is not None
    assert (status.synced.started, status.synced.counts["active"]) == (TaskRun("", 1).started, 992)
    assert (status.latest.state, status.latest.attempts, status.latest.ended) == ("running", 2, None)
    states = [(point.state, point.active) for point in status.history]
    assert states == [
        ("running", None),
        ("success", None),
        ("failed", None),
        ("failed", None),
        ("success", 992),
    ]


def test_the_newest_runs_come_first_and_no_more_than_asked_for(metadata: ModuleType) -> None:
    insert(TaskRun("north", hours, told=target("north"), returned=result()) for hours in range(5))

    assert [run.started for run in runs(each=2)] == [TaskRun("", hours).started for hours in (4, 3)]


@pytest.mark.parametrize("returned", ["a text", [1], 7, {"added": "3", "reject_reasons": ["x"]}, "{"])
def test_what_is_no_result_of_a_sync_is_left_out(metadata: ModuleType, returned: object) -> None:
    insert([TaskRun("north", 1, told=target("north"), returned=returned)])

    (run,) = runs()
    assert (run.state, run.counts, run.reject_reasons) == ("success", {}, [])


def test_nothing_but_numbers_and_reasons_is_taken_from_a_result(metadata: ModuleType) -> None:
    reasons = {"queryAgentInfoByAccount: no_agent": 2, "agent000001": "text"}
    more = {"accounts": ["agent000001"], "added": True, "throttled_seconds": 1.5, "reject_reasons": reasons}
    insert([TaskRun("north", 1, told=target("north"), returned=result(**more))])

    (run,) = runs()

    assert run.counts["throttled_seconds"] == 1.5
    assert "added" not in run.counts
    assert [(each.reason, each.accounts) for each in run.reject_reasons] == [
        ("queryAgentInfoByAccount: no_agent", 2)
    ]
    assert "agent000001" not in repr(run)
