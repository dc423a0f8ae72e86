"""What is measured side by side, and how it is told. Every ratio is of two figures from the same round."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import markdown
from benchmarks.center import center, measure, warehouse
from scripts.airflow_home import AirflowHome
from scripts.mariadb import mariadb

Rounds = dict[str, list[dict[str, Any]]]

_LATENCY = ("--latency", "0.05", "--jitter", "0.01")


def _rounds(count: int, variants: dict[str, Callable[[int], dict[str, Any]]]) -> Rounds:
    """Measure every variant in every round, one after the other."""
    found: Rounds = {name: [] for name in variants}
    for number in range(count):
        for name, run in variants.items():
            found[name].append(run(number))
        figures = {
            name: f"{all_[-1]['seconds']:.2f} s, CPU {all_[-1]['cpu']:.2f} s" for name, all_ in found.items()
        }
        print(f"round {number + 1}: {figures}", flush=True)
    return found


def _ratio(found: Rounds, name: str, base: str, key: str) -> float:
    return median(one[key] / other[key] for one, other in zip(found[name], found[base], strict=True))


def accounts_by_query(folder: Path, rounds: int) -> str:
    """20,000 accounts by single queries, 50 ± 10 ms away, 64 at a time, into PostgreSQL."""
    count = 20_000
    with center(*_LATENCY, agents=count, concurrency=64) as cc, warehouse(folder) as database:
        environment = {**cc, **database}

        def sync(number: int) -> dict[str, Any]:
            return measure(
                environment, "sync", count=count, softphones="none", table=f"agent_{number}", tenant="x"
            )

        found = _rounds(
            rounds,
            {
                "raw client": lambda _: measure(environment, "raw_accounts", count=count, concurrency=64),
                "first load": sync,
                "unchanged second run": sync,
            },
        )
    return markdown.table(
        ("", "accounts/s", "of raw's rate", "bar"),
        [
            (name, f"{count / median(one['seconds'] for one in found[name]):,.0f}", f"{ratio:.3f}", bar)
            for name, bar in (
                ("raw client", ""),
                ("first load", "≥ 0.97"),
                ("unchanged second run", "≥ 0.98"),
            )
            for ratio in [1 / _ratio(found, name, "raw client", "seconds")]
        ],
    )


def cpu(folder: Path, rounds: int) -> str:
    """Measure the client's CPU time for the same work without latency."""
    count = 20_000
    with center(agents=count, concurrency=64) as cc, warehouse(folder) as database:
        environment = {**cc, **database}
        options: dict[str, Any] = {"count": count, "softphones": "none"}
        found = _rounds(
            rounds,
            {
                "raw client": lambda _: measure(environment, "raw_accounts", count=count, concurrency=64),
                "writing replaced by a sink": lambda _: measure(environment, "sync", sink=True, **options),
                "into PostgreSQL": lambda number: measure(
                    environment, "sync", table=f"agent_{number}", **options
                ),
            },
        )
    bars = {"raw client": "", "writing replaced by a sink": "≤ 1.25", "into PostgreSQL": "≤ 1.6"}
    return markdown.table(
        ("", "CPU s", "× raw", "bar"),
        [
            (
                name,
                f"{median(one['cpu'] for one in found[name]):.2f}",
                f"{_ratio(found, name, 'raw client', 'cpu'):.2f}",
                bar,
            )
            for name, bar in bars.items()
        ],
    )


def directory(folder: Path, rounds: int) -> str:
    """100,000 agents of the directory, pages of 100, 50 ms away, 32 pages in flight, into PostgreSQL."""
    agents, pages = 100_000, 1000
    with center("--latency", "0.05", agents=agents, concurrency=32) as cc, warehouse(folder) as database:
        environment = {**cc, **database}

        def sync(number: int) -> dict[str, Any]:
            return measure(environment, "sync", table=f"agent_{number}", tenant="x")

        found = _rounds(
            rounds,
            {
                "bare read": lambda _: measure(environment, "raw_directory", pages=pages, concurrency=32),
                "bare COPY and merge": lambda _: measure(
                    environment, "copy_and_merge", pages=pages, concurrency=32
                ),
                "first load": sync,
                "unchanged second run": sync,
            },
        )
    rows = []
    for name in found:
        rate = agents / median(one["seconds"] for one in found[name])
        ratio = 1 / _ratio(found, name, "bare COPY and merge", "seconds")
        rows.append((name, f"{rate:,.0f}", f"{ratio:.2f}", "≥ 1.0" if "bare" not in name else ""))
    return markdown.table(("", "agents/s", "of COPY and merge", "bar"), rows)


def stage_and_apply(folder: Path, rounds: int) -> str:
    """Answers into each database, history on: seconds to stage and to apply them."""
    sizes = {"PostgreSQL": (10_000, 100_000, 1_000_000)}
    rows: list[tuple[object, ...]] = []
    with warehouse(folder) as postgres, mariadb(folder / "mariadb") as connection:
        places = {
            "PostgreSQL": postgres,
            "MariaDB": {"AIRFLOW_CONN_WAREHOUSE": connection},
            **{name: _file(folder, name.lower()) for name in ("SQLite", "DuckDB")},
        }
        for name, place in places.items():
            for count in sizes.get(name, (20_000,)):
                rows += _applied(name, place, count, rounds)
    head = ("database", "rows", "run", "staged/s", "applied/s", "µs a row", "of COPY and upsert")
    return markdown.table(head, rows)


def _file(folder: Path, kind: str) -> dict[str, str]:
    return {"AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": kind, "host": str(folder / f"bench.{kind}")})}


def _applied(name: str, environment: dict[str, str], count: int, rounds: int) -> list[tuple[object, ...]]:
    by_hand = name == "PostgreSQL"

    def run(changed: int) -> Callable[[int], dict[str, Any]]:
        def once(number: int) -> dict[str, Any]:
            table = f"applied_{count}_{number}"
            return measure(environment, "stage_and_apply", rows=count, changed=changed, table=table)

        return once

    def upsert(number: int) -> dict[str, Any]:
        return measure(environment, "copy_and_upsert", rows=count, table=f"upserted_{count}_{number}")

    bare = {"COPY and upsert, first": upsert, "COPY and upsert, again": upsert} if by_hand else {}
    runs = {"first": run(0), "unchanged": run(0), "1 % changed": run(100)}
    found = _rounds(rounds, {**bare, **runs})
    rows: list[tuple[object, ...]] = []
    for which in runs:
        staged, applied = (median(one[step] for one in found[which]) for step in ("stage", "apply"))
        base = found.get("COPY and upsert, first" if which == "first" else "COPY and upsert, again")
        ratios = [
            one["apply"] / other["seconds"] for one, other in zip(found[which], base or (), strict=False)
        ]
        ratio = f"{median(ratios):.2f}" if ratios else ""
        figures = (f"{count / staged:,.0f}", f"{count / applied:,.0f}", f"{applied / count * 1e6:.1f}", ratio)
        rows.append((name, f"{count:,}", which, *figures))
    return rows


_DAG = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
with DAG("bench", schedule=None):
    CCAgentsToSqlOperator(
        task_id="sync", sql_conn_id="warehouse", softphones="none",
        accounts=[f"agent{number:06d}" for number in range(20000)],
    )
"""


def real_task(folder: Path, rounds: int) -> str:
    """Measure the same work in a task that Airflow runs, connections kept or given."""
    dags = folder / "dags"
    dags.mkdir(exist_ok=True)
    (dags / "bench.py").write_text(_DAG)
    count = 20_000
    with center(*_LATENCY, agents=count, concurrency=64) as cc, warehouse(folder) as database:
        environment = {**cc, **database}
        kept = AirflowHome(folder / "kept", {}, dags)
        given = AirflowHome(folder / "given", environment, dags)
        for home in (kept, given):
            home.migrate()
        for name, value in environment.items():
            kept.airflow(
                "connections", "add", name.removeprefix("AIRFLOW_CONN_").lower(), "--conn-json", value
            )

        def task(home: AirflowHome) -> dict[str, Any]:
            result = home.run_dag("bench").xcoms["sync", -1]
            return {"seconds": result["seconds"], "cpu": 0.0}

        found = _rounds(
            rounds,
            {"from the environment": lambda _: task(given), "from Airflow's database": lambda _: task(kept)},
        )
    ratio = 1 / _ratio(found, "from Airflow's database", "from the environment", "seconds")
    return markdown.table(
        ("connections", "accounts/s", "ratio", "bar"),
        [
            (name, f"{count / median(one['seconds'] for one in figures):,.0f}", shown, bar)
            for (name, figures), shown, bar in zip(
                found.items(), ("1.000", f"{ratio:.3f}"), ("", "no slower"), strict=True
            )
        ],
    )


def memory(folder: Path, rounds: int) -> str:
    """Peak memory of the process that syncs 20,000 and 1,000,000 accounts by a query."""
    few, many = 20_000, 1_000_000
    with center(agents=many, concurrency=64) as cc, warehouse(folder) as database:
        environment = {**cc, **database}

        def sync(number: int, count: int) -> dict[str, Any]:
            sql = f"SELECT 'agent' || lpad(n::text, 6, '0') FROM generate_series(0, {count - 1}) AS n"  # noqa: S608
            table = f"agent_{number}_{count}"
            return measure(environment, "sync", accounts_sql=sql, softphones="none", table=table, tenant="x")

        found = _rounds(
            rounds,
            {
                "empty": lambda _: measure(environment, "nothing"),
                "few": lambda number: sync(number, few),
                "many": lambda number: sync(number, many),
            },
        )
    peaks = {name: [one["peak_mb"] for one in figures] for name, figures in found.items()}
    rows = [("a task that does nothing", f"{median(peaks['empty']):.0f}", "")]
    for name, count in (("few", few), ("many", many)):
        above = median(peak - empty for peak, empty in zip(peaks[name], peaks["empty"], strict=True))
        rows.append(
            (f"{count:,} accounts", f"{median(peaks[name]):.0f}", f"{above:.0f} above it (bar: ≤ 120)")
        )
    growth = median(peak - less for peak, less in zip(peaks["many"], peaks["few"], strict=True))
    rows.append((f"growth from {few:,} to {many:,}", f"{growth:.1f}", "bar: < 20"))
    return markdown.table(("", "peak MB", ""), rows)


def rate_limit(folder: Path, rounds: int) -> str:
    """Measure how much of a rate limit of 300 a second tasks use side by side, and how evenly."""
    limit, total = 300, 20_000
    options = ("--latency", "0.05", "--rate-limit", str(limit), "--retry-after", "1")
    rows = []
    for tasks in (1, 3, 6):
        for number in range(rounds):
            with center(*options, agents=total, concurrency=32) as cc, warehouse(folder) as database:
                environment = {**cc, **database, **_with_shared_session(cc)}
                home = AirflowHome(folder / f"paced-{tasks}-{number}", environment)
                home.migrate()
                task = partial(measure, home.environment, "paced", count=total // tasks)
                with ThreadPoolExecutor(tasks) as pool:
                    started = [pool.submit(task, table=f"agent_{which}") for which in range(tasks)]
                figures = [one.result() for one in started]
            rows.append((tasks, number + 1, *_paced(figures, limit)))
            print(rows[-1], flush=True)
    head = (
        "tasks",
        "round",
        "seconds",
        "of the limit (bar: ≥ 0.9)",
        "when all have run for 20 s (bar: ≥ 0.97 alone, ≥ 0.9)",
        "slowest of fastest",
        "refused (bar: < 3 %)",
        "throttled s, each",
        "lost (bar: 0)",
    )
    return markdown.table(head, rows)


def _with_shared_session(connections: dict[str, str]) -> dict[str, str]:
    """Let tasks sign in once together: a sign-in above the limit is refused, and never repeated."""
    name = "AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"
    connection = json.loads(connections[name])
    connection["extra"]["share_session"] = True
    return {name: json.dumps(connection)}


def _paced(figures: list[dict[str, Any]], limit: int) -> tuple[object, ...]:
    begun, ended = ([one["accepted"][where] for one in figures] for where in (0, -1))
    settled, first_end = max(begun) + 20, min(ended)
    rates = [
        sum(settled <= moment < first_end for moment in one["accepted"]) / (first_end - settled)
        for one in figures
    ]
    seconds = max(ended) - min(begun)
    accepted = sum(len(one["accepted"]) for one in figures)
    refused = sum(one["refused"] for one in figures)
    return (
        f"{seconds:.0f}",
        f"{accepted / seconds / limit:.3f}",
        f"{sum(rates) / limit:.3f}",
        f"{min(rates) / max(rates):.2f}",
        f"{refused / (accepted + refused):.2%}",
        f"{median(one['throttled'] for one in figures):.0f}",
        sum(one["lost"] for one in figures),
    )


def what_users_do_today(folder: Path, rounds: int) -> str:
    """Measure the same work with what Airflow's HTTP provider and dlt offer."""
    many, few = 5_000, 200
    with center(*_LATENCY, agents=many, concurrency=64) as cc, warehouse(folder) as database:
        environment = {**cc, **database}
        plans: dict[str, tuple[int, Callable[[int], dict[str, Any]]]] = {
            "CCAgentsToSqlOperator": (
                many,
                lambda number: measure(
                    environment, "sync", count=many, softphones="none", table=f"agent_{number}"
                ),
            ),
            "HttpAsyncHook, gathered, COPY": (
                many,
                lambda _: measure(environment, "http_async_hook", count=many, concurrency=64),
            ),
            "dlt, asynchronous": (
                many,
                lambda _: measure(environment, "dlt_pipeline", count=many, concurrency=64),
            ),
            "HttpHook in a loop": (few, lambda _: measure(environment, "http_hook_loop", count=few)),
            "HttpOperator.expand": (20, lambda _: _expanded(folder, environment, 20)),
        }
        found = _rounds(rounds, {name: run for name, (_, run) in plans.items()})
    rows = []
    for name, (count, _) in plans.items():
        seconds = median(one["seconds"] for one in found[name])
        spent = median(one["cpu"] for one in found[name]) / count * 1e3
        rows.append((name, f"{count:,}", f"{count / seconds:,.0f}", f"{spent:.2f}" if spent else "–"))
    return markdown.table(("", "accounts", "accounts/s", "CPU ms per account"), rows)


_EXPANDED = """
import json
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.http.operators.http import HttpOperator
with DAG("expanded", schedule=None):
    HttpOperator.partial(
        task_id="ask", http_conn_id="center", method="POST",
        endpoint="/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount",
        headers={{"Content-Type": "application/json", "Authorization": "Bearer {token}"}},
    ).expand(data=[json.dumps({{"accountCode": f"agent{{n:06d}}"}}) for n in range({count})])
"""


def _expanded(folder: Path, environment: dict[str, str], count: int) -> dict[str, Any]:
    """One mapped task for each account, run by `airflow dags test`; without a scheduler between the tasks."""
    token = measure(environment, "token")["token"]
    dags = folder / "expanded_dags"
    dags.mkdir(exist_ok=True)
    (dags / "expanded.py").write_text(_EXPANDED.format(token=token, count=count))
    home = AirflowHome(folder / "expanded", environment, dags)
    if not home.database.exists():
        home.migrate()
    begun = time.perf_counter()
    home.run_dag("expanded")
    return {"seconds": time.perf_counter() - begun, "cpu": 0.0}
