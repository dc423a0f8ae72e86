"""What servers of StatsD and OpenTelemetry are sent about real syncs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import promql_parser
import pytest

from airflow_provider_cc.compat import Stats
from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.sensors.sync import CCSyncFreshnessSensor
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync.metrics import OUTCOMES
from tests.conftest import CHECKOUT
from tests.docs.pages import code_words, page, tables
from tests.monitoring import Collector, Metric, StatsD
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import Database

INFO, LISTED = "queryAgentInfoByAccount", "agentAccount_query"


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsD]:
    """Give a server that this process sends its metrics to, as a task's process does."""
    with StatsD() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        _connect(monkeypatch)
        yield server
    monkeypatch.undo()
    _connect(monkeypatch)


def _connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow's Stats start over with the settings of this moment."""
    if hasattr(Stats, "initialize"):
        from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

        Stats.initialize(factory=get_stats_factory(), export_legacy_names=True)
    else:
        del type(Stats).factory
        Stats.instance = None
        type(Stats).__init__(Stats)


def values(received: dict[str, list[Metric]], beginning: str) -> dict[str, float]:
    """Return what was received by the rest of the name."""
    return {
        name.removeprefix(beginning): sum(metric.value for metric in metrics)
        for name, metrics in received.items()
        if name.startswith(beginning)
    }


def tagged(received: dict[str, list[Metric]], name: str, *tags: str) -> dict[str, float]:
    """Return what was received under a name by the values of some tags."""
    return {".".join(metric.tags[tag] for tag in tags): metric.value for metric in received[name]}


def test_accounts_requests_and_seconds_are_those_of_the_run(
    make_center: MakeCenter, sqlite_sync: Sync, statsd: StatsD
) -> None:
    center = make_center(40)
    before = time.time()

    counts = sqlite_sync(accounts=[*center.accounts(), "nobody"], softphones="directory", tenant="south, 1")
    received = statsd.received()

    assert values(received, "cc.sync.accounts.") == {name: counts[name] for name in OUTCOMES}
    assert counts["added"] > 30
    assert counts["rejected"] > 0
    assert values(received, "cc.sync.requests.") == {
        INFO: center.stats.requests(INFO),
        LISTED: center.stats.requests("agentAccount/query"),
    }
    assert not values(received, "cc.sync.failed_requests.")
    assert (values(received, "cc.sync.sign_ins"), values(received, "cc.sync.retries")) == ({"": 1}, {"": 0})
    duration = values(received, "cc.sync.duration.")
    assert set(duration) == {"read", "stage", "apply"}
    assert 0 < duration["stage"] < duration["read"] < counts["seconds"] * 1000
    assert before - 1 < values(received, "cc.sync.last_success")[""] < time.time()
    assert 0 <= values(received, "cc.sync.age")[""] <= counts["seconds"]
    kinds = {name: metrics[0].kind for name, metrics in received.items()}
    assert {kinds[f"cc.sync.{name}"] for name in ("age", "last_success")} == {"g"}
    assert {kinds[f"cc.sync.duration.{name}"] for name in duration} == {"ms"}
    assert kinds["cc.sync.accounts.added"] == kinds["cc.sync.retries"] == "c"
    whose = {"dag_id": "adhoc_airflow", "task_id": "sync", "tenant": "south__1"}
    assert all(metric.tags.items() >= whose.items() for metrics in received.values() for metric in metrics)
    assert received["cc.sync.accounts.added"][0].tags == whose


def test_the_docs_name_all_and_a_value_in_a_name_is_a_tag_as_well(
    make_center: MakeCenter, sqlite_sync: Sync, statsd: StatsD
) -> None:
    center = make_center(12)
    center.faults.overrides = {"agent000003": (404, "")}

    sqlite_sync(accounts=list(center.accounts()), softphones="none")
    received = statsd.received()

    told = {code_words(row[0])[0]: set(code_words(row[2])) for row in tables(page("docs/metrics.md"))[0][1:]}
    assert set(told) == {name for name in received if name.count(".") == 2}
    assert all(
        set(received[name][0].tags) == own | {"dag_id", "task_id", "tenant"} for name, own in told.items()
    )
    assert tagged(received, "cc.sync.accounts", "outcome") == values(received, "cc.sync.accounts.")
    assert (
        tagged(received, "cc.sync.requests", "endpoint")
        == values(received, "cc.sync.requests.")
        == {INFO: 12}
    )
    assert tagged(received, "cc.sync.failed_requests", "endpoint", "reason") == {f"{INFO}.404": 1}
    assert tagged(received, "cc.sync.duration", "phase") == values(received, "cc.sync.duration.")


def test_failed_requests_are_told_by_their_reason(
    make_center: MakeCenter, sqlite_sync: Sync, statsd: StatsD
) -> None:
    center = make_center(60)
    center.faults.only = {INFO}
    center.faults.errors, center.faults.reset_before = {502: 0.05}, 0.05

    sqlite_sync(accounts=list(center.accounts()), softphones="none")
    received = statsd.received()

    failed = values(received, f"cc.sync.failed_requests.{INFO}.")
    assert set(failed) == {"502", "reset"}
    assert values(received, "cc.sync.retries")[""] == sum(failed.values())
    assert values(received, "cc.sync.requests.")[INFO] == 60 + sum(failed.values())


def test_an_attempt_that_fails_tells_what_it_cost_and_no_accounts(
    center: Simulator, sqlite_sync: Sync, statsd: StatsD
) -> None:
    accounts = [*list(center.accounts())[:4], "nobody", "no one"]
    arguments: dict[str, Any] = {"accounts": accounts, "softphones": "none", "run_id": "one"}

    with pytest.raises(CCError, match="max_rejects"):
        sqlite_sync(max_rejects=1, **arguments)
    failed = statsd.received()
    sqlite_sync(max_rejects=2, **arguments)
    resumed = statsd.received()

    assert not values(failed, "cc.sync.accounts.")
    assert "cc.sync.last_success" not in failed
    assert values(failed, "cc.sync.requests.") == {INFO: 6}
    assert set(values(failed, "cc.sync.duration.")) == {"read", "stage"}
    # Of the first attempt, only the good answers are taken over.
    assert values(resumed, "cc.sync.requests.") == {INFO: 2}
    assert values(resumed, "cc.sync.accounts.")["added"] == 4


def test_a_dry_run_changes_no_accounts(center: Simulator, sqlite_sync: Sync, statsd: StatsD) -> None:
    sqlite_sync(dry_run=True)
    received = statsd.received()

    assert values(received, "cc.sync.requests.")
    assert not values(received, "cc.sync.accounts.")
    assert "cc.sync.age" not in received


def test_the_freshness_sensor_tells_the_age(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, statsd: StatsD
) -> None:
    sqlite_sync()
    (at_the_end,) = statsd.received()["cc.sync.last_success"]
    sqlite_database.execute("UPDATE cc_sync_run SET started_at = datetime(started_at, '-1 hour')")

    CCSyncFreshnessSensor(task_id="fresh", sql_conn_id="warehouse", max_age=timedelta(days=1)).poke({})
    received = statsd.received()

    (age,), (last_success,) = received["cc.sync.age"], received["cc.sync.last_success"]
    assert 3600 <= age.value < 3700
    assert last_success.value == pytest.approx(at_the_end.value - 3600, abs=1)
    assert last_success.tags == at_the_end.tags


def test_a_sync_does_not_depend_on_its_monitoring(
    center: Simulator, sqlite_sync: Sync, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", "no number")
    _connect(monkeypatch)

    counts = sqlite_sync()

    monkeypatch.undo()
    _connect(monkeypatch)
    assert counts["added"] > 0
    assert "Metrics cannot be sent" in caplog.text


def test_the_dashboard_asks_for_what_is_sent(
    make_center: MakeCenter, sqlite_sync: Sync, statsd: StatsD
) -> None:
    center = make_center(12)
    center.faults.overrides = {"agent000003": (404, "")}
    sqlite_sync(accounts=list(center.accounts()), softphones="none")
    exposed = _exposed(statsd.received())
    dashboard = json.loads((CHECKOUT / "docs/grafana-dashboard.json").read_text())

    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = [metric for query in queries for metric in _asked(promql_parser.parse(query))]

    assert len(queries) > 5
    for name, labels in asked:
        assert labels <= exposed[name], name
    # The age is there as the time since the last success; of names with a value in them, there is the tag.
    metrics = ("accounts", "requests", "failed_requests", "retries", "sign_ins", "last_success")
    assert {name.removeprefix("airflow_cc_sync_") for name, _ in asked} == {
        *metrics,
        "duration_sum",
        "duration_count",
    }


def _exposed(received: dict[str, list[Metric]]) -> dict[str, set[str]]:
    """Return the names and labels that Prometheus' statsd_exporter makes of what was received."""
    exposed: dict[str, set[str]] = {}
    for name, metrics in received.items():
        for metric in metrics:
            for suffix in ("_sum", "_count") if metric.kind == "ms" else ("",):
                exposed[f"airflow.{name}{suffix}".replace(".", "_")] = set(metric.tags)
    return exposed


def _asked(query: Any, by: frozenset[str] = frozenset()) -> Iterator[tuple[str, set[str]]]:
    """Return which metrics a query reads, each with the labels that it needs."""
    if isinstance(query, promql_parser.VectorSelector):
        yield query.name, {matcher.name for matcher in query.matchers.matchers} | by
    elif isinstance(query, promql_parser.MatrixSelector):
        yield from _asked(query.vector_selector, by)
    elif isinstance(query, promql_parser.AggregateExpr):
        yield from _asked(query.expr, by | set(query.modifier.labels if query.modifier else ()))
    elif isinstance(query, promql_parser.BinaryExpr):
        yield from _asked(query.lhs, by)
        yield from _asked(query.rhs, by)
    elif isinstance(query, promql_parser.Call):
        for argument in query.args:
            yield from _asked(argument, by)


#: A process that syncs as a task's does: it ends without a proper end of Python's.
TASK = """
import os
from types import SimpleNamespace

import airflow
from airflow_provider_cc.compat import Stats
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

if hasattr(Stats, "initialize"):
    from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

    Stats.initialize(factory=get_stats_factory(), export_legacy_names=True)
task = SimpleNamespace(run_id="one", map_index=-1)
counts = CCAgentsToSqlOperator(task_id="sync", sql_conn_id="warehouse").execute({"ti": task})
os._exit(0 if counts["added"] else 1)
"""


def test_opentelemetry_has_everything_when_the_process_ends(
    center: Simulator, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(dict(sqlite_database.connection)))
    with Collector() as collector:
        environment = {**os.environ, **collector.environment()}
        done = subprocess.run(
            [sys.executable, "-c", TASK],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr

    (accounts,) = collector.metrics["airflow.cc.sync.accounts.added"]
    assert accounts.as_int == 12
    assert {each.key: each.value.string_value for each in accounts.attributes} == {
        "dag_id": "adhoc_airflow",
        "task_id": "sync",
        "tenant": "cc_management_default",
    }
    assert collector.metrics["airflow.cc.sync.last_success"][0].as_double > 0
    spans = collector.named("cc.sync.")
    assert set(spans) == {"cc.sync.read", "cc.sync.stage", "cc.sync.apply"}
    read, stage, apply = (spans[f"cc.sync.{name}"] for name in ("read", "stage", "apply"))
    assert read.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
    assert stage.end_time_unix_nano <= read.end_time_unix_nano <= apply.start_time_unix_nano
