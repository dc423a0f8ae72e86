"""The first and the last thing that a sync says in its log."""

from __future__ import annotations

import re

import pytest

from airflow_provider_cc.exceptions import CCAuthError, CCConfigError, CCError, CCTransientError
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import Log, Sync
from tests.transfers.database import Database

DOCTOR = "run python -m airflow_provider_cc.doctor cc_management_default"


def said(log: Log) -> list[str]:
    """Return what the operator says, once and without what Airflow adds to a line."""
    lines = re.findall(r"(?:Plan|Synced|Dry run|Sync failed)[: (].*", log.text)
    return list(dict.fromkeys(re.split(r"\s*(?:\x1b|\[airflow\.)", line)[0] for line in lines))


def test_the_plan_comes_first_and_the_result_last(center: Simulator, sqlite_sync: Sync, log: Log) -> None:
    center = f"https://127.0.0.1:{center.port} (connection 'cc_management_default'"
    sqlite_sync(tenant="north")
    of_directory = said(log)
    sqlite_sync(
        accounts=["agent000001", "agent000001", "nobody"], softphones="none", table="cc_few", dry_run=True
    )
    of_list = said(log)[len(of_directory) :]

    assert of_directory[0] == (
        f"Plan: sync the directory of {center}, softphones='directory') into cc_agent on sqlite "
        "(connection 'warehouse'), tenant 'north', where 0 agents are active."
    )
    assert of_directory[1].startswith("Synced: requested 12, ")
    assert of_list[0].startswith(
        f"Plan (dry run): sync 2 accounts (accounts) of {center}, softphones='none')"
    )
    assert of_list[1].startswith("Dry run: would add 1,")
    assert len(of_directory + of_list) == 4


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (CCAuthError, f"correct connection 'cc_management_default', {DOCTOR}, then clear the task."),
        (CCTransientError, f"if further attempts fail, too, {DOCTOR}."),
        (CCError, "look up the codes and texts above in docs/troubleshooting.md, then clear the task."),
    ],
)
def test_a_failure_says_what_to_do(
    error: type[CCError], advice: str, center: Simulator, sqlite_sync: Sync, log: Log
) -> None:
    accounts = list(center.accounts())
    if error is CCAuthError:
        center.faults.refuse_sign_ins = {"management"}
    elif error is CCTransientError:
        center.stop()
    else:
        accounts = ["nobody", "no one"]

    with pytest.raises(error) as failed:
        sqlite_sync(accounts=accounts, softphones="none")

    plan, end = said(log)
    assert plan.startswith("Plan: ")
    assert re.fullmatch(
        rf"Sync failed after \d+\.\d s: {re.escape(str(failed.value))}\. "
        r"Tables change only when a whole run is applied\. "
        rf"Staged answers are kept; the next attempt resumes the run\. What to do: {re.escape(advice)}",
        end,
    )


def test_a_table_that_does_not_fit_is_named(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, log: Log
) -> None:
    sqlite_database.execute("CREATE TABLE cc_agent (account TEXT PRIMARY KEY)")

    with pytest.raises(CCConfigError):
        sqlite_sync()

    (end,) = said(log)
    assert "cc_agent" in end
    assert "Staged answers" not in end
    assert "What to do: fix what the error names" in log.text
