"""Who reads the tables during a sync sees them as they were, or as they will be: never a mixture."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCError
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import THOROUGH, Database
from tests.transfers.killing import Moment

AGENTS, LEAVERS, NEWCOMERS = 50_000 if THOROUGH else 10_000, 300, 500
HISTORY = "cc_agent_history"
TABLES = ("cc_agent", HISTORY, "cc_agent_reject")

#: Everything of a run that a reader can see, in one statement, which has one view of the database.
SEEN = f"""
    SELECT
        (SELECT COUNT(*) FROM cc_agent WHERE is_active AND agent_type = 11) AS changed,
        (SELECT COUNT(*) FROM cc_agent WHERE is_active AND agent_type <> 11) AS as_before,
        (SELECT COUNT(*) FROM cc_agent WHERE NOT is_active) AS closed,
        (SELECT COUNT(*) FROM {HISTORY} WHERE valid_to IS NULL AND agent_type = 11) AS open_changed,
        (SELECT COUNT(*) FROM {HISTORY} WHERE valid_to IS NULL AND agent_type <> 11) AS open_as_before,
        (SELECT COUNT(*) FROM {HISTORY} WHERE valid_to IS NOT NULL) AS past,
        (SELECT COUNT(*) FROM cc_agent_reject) AS rejected,
        (SELECT COUNT(*) FROM cc_sync_run WHERE finished_at IS NOT NULL) AS runs
"""


def versions(database: Database) -> dict[str, Any]:
    """Return of each table what changes with every row that is written, be it with equal values."""
    sums = "SELECT md5(string_agg(concat(ctid, ' ', xmin, ' ', t), ',' ORDER BY ctid)) FROM {} AS t"
    return {name: database.query(sums.format(name)) for name in TABLES}


@contextmanager
def watching(database: Database) -> Iterator[list[tuple[int, ...]]]:
    """Have another connection select in a loop; return what it sees, without repetitions."""
    seen: list[tuple[int, ...]] = []
    done = threading.Event()
    failures: list[Exception] = []

    def look() -> None:
        engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
        try:
            with engine.connect() as connection:
                last = False
                while not last:
                    last = done.is_set()  # and one more look
                    row = tuple(connection.exec_driver_sql(SEEN).one())
                    if row not in seen[-1:]:
                        seen.append(row)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
    assert failures == []


@pytest.mark.timeout(600)
def test_a_reader_never_sees_a_mixture(
    make_center: MakeCenter, postgres_database: Database, postgres_sync: Sync
) -> None:
    """A run in which everybody changes, some leave and some come."""
    center = make_center(AGENTS)
    accounts = list(center.accounts())
    for account in accounts:
        center.change_agent(account, agent_type=4)
    postgres_sync(history_table=HISTORY)
    for account in accounts:
        center.change_agent(account, agent_type=11)
    for account in accounts[:LEAVERS]:
        center.remove_agent(account)
    for number in range(NEWCOMERS):
        center.add_agent(f"newcomer{number}", agent_type=11)
    center.change_agent(accounts[-1], agent_id="seven")  # a reject
    before = versions(postgres_database)
    at_apply: list[dict[str, Any]] = []
    disarm = Moment("before", 1, "apply").arm(lambda: at_apply.append(versions(postgres_database)))

    with watching(postgres_database) as seen:
        counts = postgres_sync(history_table=HISTORY)
    disarm()

    assert at_apply == [before]  # nothing was written until then, not even with the same values
    changed = AGENTS - LEAVERS - 1
    assert (counts["changed"], counts["deactivated"], counts["added"]) == (changed, LEAVERS, NEWCOMERS)
    assert seen == [
        (0, AGENTS, 0, 0, AGENTS, 0, 0, 1),
        (changed + NEWCOMERS, 1, LEAVERS, changed + NEWCOMERS, 1, changed + LEAVERS, 1, 2),
    ]


FAILURES = {
    "too many rejects": {"max_rejects": 3},
    "too many that leave": {"min_snapshot_ratio": 0.9, "max_rejects": 1.0},
}
MOMENTS = {
    "before it is applied": Moment("before", 1, "apply"),
    "with the agents changed": Moment("flush", 1, "apply"),
    "with the history changed": Moment("flush", 1, "apply", HISTORY),
    "with the rejects written": Moment("flush", 1, "apply", "cc_agent_reject"),
    "with all but the commit done": Moment("commit", 1, "apply"),
}


@pytest.mark.parametrize("why", [*FAILURES, *MOMENTS])
def test_a_run_that_fails_has_changed_nothing(
    make_center: MakeCenter, postgres_database: Database, postgres_sync: Sync, why: str
) -> None:
    center = make_center(100)
    run: dict[str, Any] = {"accounts": list(center.accounts()), "history_table": HISTORY, "chunk_size": 10}
    postgres_sync(**run, softphones="none")
    for account in run["accounts"]:
        center.change_agent(account, agent_type=11)
    for account in run["accounts"][:20]:
        center.remove_agent(account)
    before = versions(postgres_database)

    def fail() -> None:
        raise CCError("the end")

    disarm = MOMENTS[why].arm(fail) if why in MOMENTS else lambda: None
    with (
        watching(postgres_database) as seen,
        pytest.raises(CCError, match=r"the end|rejected|no longer exist"),
    ):
        postgres_sync(**run, softphones="none", run_id="daily", **FAILURES.get(why, {}))
    disarm()

    assert versions(postgres_database) == before
    assert len(seen) == 1
    counts = postgres_sync(**run, softphones="none", run_id="daily")
    assert counts["deactivated"] == 20
    assert counts["resumed"] >= (80 if why in MOMENTS else 0)
