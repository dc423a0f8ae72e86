"""Growth: what one account more costs, what one worker more brings, and what Airflow keeps of a run."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg

from benchmarks import growth, markdown
from benchmarks.center import busy, center, dsn, measure, warehouse
from scripts.airflow_home import AirflowHome

#: Environment variable: the largest number of accounts, 1,000,000 by default. Smaller ones are for trials.
SIZE = "SCALE_ACCOUNTS"
#: Requests in flight of one worker: few enough that only latency limits it, and as many as reach a limit.
CONCURRENCY = (16, 64)
WORKERS = (1, 2, 3)
#: Directory pages in flight.
PAGES = 32
#: Shares of a limit from which on a part of it counts as used up, and least share of a linear rate.
_FULL, _LINEAR = 0.9, 0.9
_FLAT = (0.85, 1.15)
#: CPUs that others may use without spoiling the figures.
_OTHERS = 0.2
#: Numbers of shards whose rows in Airflow's database are counted.
_SHARDS = (3, 6)
_FEW, _MANY = 200, 2_000

_SIMULATOR, _POSTGRES = "airflow_provider_cc.simulator", "/bin/postgres"

#: Name of a figure → its value.
Measured = dict[str, float]
Row = tuple[object, ...]


def scale(folder: Path, rounds: int) -> dict[str, str]:
    """Measure growth; return the table of what was measured, and the one of what follows from it."""
    most = int(os.environ.get(SIZE, "1000000"))
    begun, before = time.monotonic(), busy() - _own()
    costs = _costs(folder, rounds, (most // 50, most // 10, most))
    rates, rate_rows = _workers(folder, rounds, most)
    metadata, metadata_rows = _metadata(folder)
    others = (busy() - _own() - before) / (time.monotonic() - begun)
    rest = ("other work on this machine meanwhile", "", f"{others:.2f} CPUs", "", f"< {_OTHERS}")
    rows = [*_cost_rows(costs), *rate_rows, *metadata_rows, rest]
    measured = markdown.table(("measured", "case", "figure", "ratio", "bar"), rows)
    concurrency = CONCURRENCY[-1]
    figures = _figures(costs, rates[concurrency], concurrency, metadata)
    return {"benchmarks.md": measured, "growth.md": growth.projection(figures)}


# What one account more costs

_QUERIES, _FIRST, _AGAIN, _PREPARE = (
    "single queries, first run",
    "directory, first run",
    "directory, unchanged",
    "`prepare` of a group, single queries",
)
#: Kind of run → number of accounts → figures.
Costs = dict[str, dict[int, Measured]]


def _costs(folder: Path, rounds: int, sizes: tuple[int, ...]) -> Costs:
    """Measure syncs of each size; the largest once, as it takes longer than all others together."""
    found: Costs = {}
    with warehouse(folder) as database:
        for count in sizes:
            with (
                center(agents=count, concurrency=CONCURRENCY[-1]) as by_query,
                center(agents=count, concurrency=PAGES) as by_page,
            ):
                once = [
                    _cost(folder, database, by_query, by_page, count)
                    for _ in range(1 if count == sizes[-1] else rounds)
                ]
            for kind in once[0]:
                names = once[0][kind]
                medians = {name: median(figures[kind][name] for figures in once) for name in names}
                found.setdefault(kind, {})[count] = medians
    return found


def _cost(
    folder: Path, database: dict[str, str], by_query: dict[str, str], by_page: dict[str, str], count: int
) -> dict[str, Measured]:
    where = dsn(database["AIRFLOW_CONN_WAREHOUSE"])
    source = {"accounts_sql": _accounts_sql(str(count)), "softphones": "none"}
    found: dict[str, Measured] = {}
    with _schema(where, "listed") as tables:
        run = partial(measure, {**by_query, **database}, "sync_in_phases", **source, **tables)
        found[_QUERIES] = _watched(where, "listed", run, count)
    with _schema(where, "paged") as tables:
        run = partial(measure, {**by_page, **database}, "sync_in_phases", **tables)
        found[_FIRST] = _watched(where, "paged", run, count)
        found[_AGAIN] = _watched(where, "paged", run, count)
    with _schema(where, "shared") as tables:
        options = {"run_id": "bench", "shards": 3, **source, **tables}
        run = partial(measure, {**by_query, **database}, "step", task="prepare", **options)
        found[_PREPARE] = _watched(where, "shared", run)
        ((size,),) = _query(where, f"SELECT pg_total_relation_size('{tables['table']}_stage')")
        found[_PREPARE]["staged"] = size
    for kind, figures in found.items():
        print(f"{count:,} {kind}: {figures}", flush=True)
    return found


def _accounts_sql(count: str) -> str:
    return f"SELECT 'agent' || lpad(n::text, 6, '0') FROM generate_series(0, {count} - 1) AS n"  # noqa: S608


def _watched(
    where: str, schema: str, run: Callable[[], dict[str, Any]], count: int | None = None
) -> Measured:
    """Run a measurement; add what PostgreSQL did meanwhile, and check that no account was lost."""
    wal, rows, spent = _wal(where), _rows_written(where, schema), _cpu(_POSTGRES)
    figures = run()
    _wait_for_statistics(where)
    if count is not None and figures["counts"]["synced"] != count:
        raise SystemExit(f"{figures['counts']['synced']} of {count} accounts were synced")
    names = ("seconds", "cpu", "peak_mb", "read", "apply", "staged")
    return {
        **{name: figures[name] for name in names if name in figures},
        "wal": _wal(where) - wal,
        "rows": _rows_written(where, schema) - rows,
        "database": _cpu(_POSTGRES) - spent,
    }


def _cost_rows(costs: Costs) -> Iterator[Row]:
    for kind, by_size in costs.items():
        before: Measured | None = None
        for less, more in pairwise(by_size):
            each = _each(by_size, less, more)
            # What takes no time of its own is left out: `prepare` has no phases.
            parts = [f"{name} {each[name] * 1e6:.1f}" for name in ("read", "apply") if name in each]
            phases = f" ({', '.join(parts)})" if parts else ""
            figure = (
                f"{each['seconds'] * 1e6:.1f} µs{phases}; CPU {each['cpu'] * 1e6:.1f} µs, "
                f"PostgreSQL's {each['database'] * 1e6:.1f} µs"
            )
            ratio = bar = ""
            if before is not None:
                ratio = f"{each['seconds'] / before['seconds']:.2f}, CPU {each['cpu'] / before['cpu']:.2f}"
                bar = "{} to {}".format(*_FLAT)
            yield "each further account", f"{kind}, {less:,} to {more:,}", figure, ratio, bar
            before = each
    for kind, by_size in costs.items():
        least, most = min(by_size), max(by_size)
        largest = by_size[most]
        grown = largest["peak_mb"] - by_size[least]["peak_mb"]
        figure = (
            f"peak {largest['peak_mb']:.0f} MB ({grown:+.0f} MB since {least:,}); "
            f"staging {largest['staged'] / 1e6:,.1f} MB; WAL {largest['wal'] / 1e6:,.1f} MB; "
            f"{largest['rows']:,.0f} rows written"
        )
        yield "size", f"{kind}, {most:,}", figure, "", ""


def _each(by_size: dict[int, Measured], less: int, more: int) -> Measured:
    """Return the figures for each account between two sizes."""
    names = by_size[less]
    return {name: (by_size[more][name] - by_size[less][name]) / (more - less) for name in names}


# What one worker more brings


def _workers(folder: Path, rounds: int, most: int) -> tuple[dict[int, float], list[Row]]:
    """Measure shards of a run side by side; return the rate of one by its requests in flight, and rows."""
    rates: dict[int, float] = {}
    rows: list[Row] = []
    for concurrency in CONCURRENCY:
        each = min(300 * concurrency, most // 50)  # 15 s, and less in a trial
        for workers in WORKERS:
            with (
                center(
                    "--latency", str(growth.LATENCY), agents=workers * each, concurrency=workers * concurrency
                ) as cc,
                warehouse(folder) as database,
            ):
                runs = [_shared_run(folder, {**cc, **database}, workers, each) for _ in range(rounds)]
            found = {name: median(run[name] for run in runs) for name in runs[0]}
            rates.setdefault(concurrency, found["rate"])
            linear = found["rate"] / (workers * rates[concurrency])
            figure = (
                f"{found['rate']:,.0f} accounts/s; CPUs: workers {found['workers']:.2f}, "
                f"contact center {found['center']:.2f}, PostgreSQL {found['database']:.2f}, "
                f"machine {found['machine']:.2f} of {psutil.cpu_count()}; limit: {_limit(found, workers)}"
            )
            case = f"{workers} × {concurrency} requests in flight"
            alone = workers == WORKERS[0]
            bar = "" if alone else f"≥ {_LINEAR} of linear, or a limit"
            rows.append(("workers, replies after 50 ms", case, figure, f"{linear:.2f}", bar))
            print(rows[-1], flush=True)
    return rates, rows


def _shared_run(folder: Path, environment: dict[str, str], workers: int, each: int) -> Measured:
    """Run the tasks of `cc_agents_sync`, its readers side by side."""
    where = dsn(environment["AIRFLOW_CONN_WAREHOUSE"])
    source = {"accounts_sql": _accounts_sql(str(workers * each)), "softphones": "none"}
    meeting = folder / f"ready_{time.time_ns()}"
    meeting.mkdir()
    with _schema(where, "shared") as tables, ThreadPoolExecutor(workers) as pool:
        options = {"run_id": meeting.name, "shards": workers, **source, **tables}
        task = partial(measure, environment, "step", **options)
        task(task="prepare")
        spent = {mark: _cpu(mark) for mark in (_SIMULATOR, _POSTGRES)}
        started = [
            pool.submit(task, task="read", shard=shard, ready=str(meeting)) for shard in range(workers)
        ]
        read = [one.result() for one in started]
        _wait_for_statistics(where)
        spent = {mark: _cpu(mark) - before for mark, before in spent.items()}
        applied = task(task="apply")["result"]["synced"]
    if applied != workers * each:
        raise SystemExit(f"{applied} of {workers * each} accounts were synced")
    first, last = min(read, key=lambda it: it["begun"]), max(read, key=lambda it: it["ended"])
    seconds = last["ended"] - first["begun"]
    return {
        "rate": workers * each / seconds,
        "workers": sum(one["cpu"] for one in read) / seconds,
        "center": spent[_SIMULATOR] / seconds,
        "database": spent[_POSTGRES] / seconds,
        "machine": (last["busy"][1] - first["busy"][0]) / seconds,
    }


def _limit(found: Measured, workers: int) -> str:
    """Name what a rate is limited by; a contact center and a worker use one CPU each at most."""
    others = found["machine"] - found["workers"] - found["center"] - found["database"]
    if others >= _OTHERS:
        return f"not known, as other work took {others:.2f} CPUs"
    if found["center"] >= _FULL:
        return "the simulator's CPU"
    if found["machine"] >= _FULL * (psutil.cpu_count() or 1):
        return "this machine's CPUs"
    if found["workers"] >= _FULL * workers:
        return "the workers' CPUs"
    return "latency"


# What Airflow keeps of a run

_DAGS = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator, cc_agents_sync
SOURCE = {{"accounts_sql": {sql!r}, "softphones": "none", "sql_conn_id": "warehouse"}}
with DAG("alone", schedule=None, params={{"accounts": {few}}}):
    CCAgentsToSqlOperator(task_id="sync", **SOURCE)
for shards in {shards}:
    with DAG(f"shared_{{shards}}", schedule=None, params={{"accounts": {few}}}):
        cc_agents_sync("sync", shards=shards, **SOURCE)
"""
#: Rows of one run, by DAG.
Metadata = dict[str, int]


def _metadata(folder: Path) -> tuple[Metadata, list[Row]]:
    """Count the rows that a run adds to all tables of Airflow's database, for few and for many accounts."""
    dags = folder / "scale_dags"
    dags.mkdir()
    sql = _accounts_sql("{{ params.accounts }}")
    (dags / "scale.py").write_text(_DAGS.format(sql=sql, few=_FEW, shards=_SHARDS))
    kept: Metadata = {}
    rows: list[Row] = []
    with center(agents=_MANY, concurrency=CONCURRENCY[0]) as cc, warehouse(folder) as database:
        home = AirflowHome(folder / "scale_home", {**cc, **database}, dags)
        home.migrate()
        for dag, case in {
            "alone": "the operator",
            **{f"shared_{n}": f"a group of {n} shards" for n in _SHARDS},
        }.items():
            _added(home, dag, _FEW)  # the first run also writes the DAG itself
            few, many = (_added(home, dag, count) for count in (_FEW, _MANY))
            kept[dag] = sum(many.values())
            tables = ", ".join(f"`{table}` {number}" for table, number in sorted(many.items()))
            figure = f"{sum(few.values())} for {_FEW} accounts, {kept[dag]} for {_MANY:,}: {tables}"
            ratio = f"{kept[dag] / sum(few.values()):.2f}"
            rows.append(("rows in Airflow's database, each run", case, figure, ratio, "1.00"))
            print(rows[-1], flush=True)
    return kept, rows


def _added(home: AirflowHome, dag: str, count: int) -> Metadata:
    before = _table_sizes(home)
    run = home.run_dag(dag, {"accounts": count})
    task = "sync" if dag == "alone" else "sync.apply"
    if run.state != "success" or run.xcoms[task, -1]["synced"] != count:
        raise SystemExit(f"{dag} did not sync {count} accounts:\n{home.log_end()}")
    after = _table_sizes(home)
    return {table: after[table] - before[table] for table in after if after[table] != before[table]}


def _table_sizes(home: AirflowHome) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(home.database, timeout=30)) as connection:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
            for (name,) in connection.execute(names).fetchall()
        }


# What follows


def _figures(costs: Costs, rate: float, concurrency: int, metadata: Metadata) -> growth.Figures:
    *_, less, more = sorted(costs[_FIRST])
    each = {kind: _each(by_size, less, more) for kind, by_size in costs.items()}
    runs = each[_FIRST], each[_AGAIN]
    return growth.Figures(
        rate=rate,
        concurrency=concurrency,
        prepare=each[_PREPARE]["seconds"],
        apply=max(run["apply"] for run in runs),
        directory=max(run["seconds"] for run in runs),
        pages=PAGES,
        written=(runs[0]["wal"], runs[1]["wal"]),
        rows=(runs[0]["rows"], runs[1]["rows"]),
        staged=max(run["staged"] for run in runs) + each[_PREPARE]["staged"],
        metadata=(metadata["alone"], {number: metadata[f"shared_{number}"] for number in _SHARDS}),
    )


# What the machine and PostgreSQL tell


def _cpu(mark: str) -> float:
    """Return the CPU seconds of children of this process whose command has a mark, and of theirs."""
    found = [child for child in psutil.Process().children() if mark in " ".join(child.cmdline())]
    if not found:
        raise SystemExit(f"no process {mark}")
    total = 0.0
    for child in found:
        ended = child.cpu_times()
        total += ended.children_user + ended.children_system
        for one in (child, *child.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
    return total


def _own() -> float:
    """Return the CPU seconds of this process and of all that it has started and that have ended."""
    return sum(os.times()[:4])


def _query(where: str, sql: str) -> list[Any]:
    with psycopg.connect(where, autocommit=True) as connection:
        return connection.execute(sql).fetchall()


@contextlib.contextmanager
def _schema(where: str, name: str) -> Iterator[dict[str, str]]:
    """Make a schema; yield the operator's arguments for tables in it; drop it."""
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    names = {"table": "agent", "history_table": "history", "reject_table": "reject", "run_table": "run"}
    try:
        yield {"tenant": "x", **{argument: f"{name}.{table}" for argument, table in names.items()}}
    finally:
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


def _wal(where: str) -> int:
    ((number,),) = _query(where, "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
    return int(number)


def _rows_written(where: str, schema: str) -> int:
    of_all = "coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint"
    ((number,),) = _query(
        where,
        f"SELECT {of_all} FROM pg_stat_user_tables WHERE schemaname = '{schema}'",  # noqa: S608
    )
    return int(number)


def _wait_for_statistics(where: str) -> None:
    """Wait until PostgreSQL has ended the sessions of clients that are gone, and counted what they did."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 30
    while _query(where, others) != [(0,)]:
        if time.monotonic() > deadline:
            raise SystemExit("PostgreSQL has sessions that do not end")
        time.sleep(0.05)
