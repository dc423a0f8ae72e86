"""The ways to do the work. Each function prepares, and returns what is measured; imports are not."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import aiohttp

from airflow_provider_cc.sync.metrics import Stopwatch
from benchmarks.center import DIRECTORY, INFO, accounts, address, busy, dsn, token_request

Work = Callable[[], dict[str, Any] | None]


async def _flood(path: str, bodies: Iterator[bytes], concurrency: int, use: Callable[[bytes], Any]) -> None:
    """Send bodies to a path, so many at a time, with a bare aiohttp client over TLS."""
    base, ca = address()
    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca))
    async with aiohttp.ClientSession(base, connector=connector) as http:
        path_of_token, keys = token_request()
        async with http.post(path_of_token, json=keys) as reply:
            token = (await reply.json())["AccessToken"]
        headers = {
            "Authorization": f"Bearer {token}",
            "X-APP-Key": keys["app_key"],
            "Content-Type": "application/json;charset=UTF-8",
        }

        async def worker() -> None:
            for body in bodies:
                async with http.post(path, data=body, headers=headers) as reply:
                    use(await reply.read())

        await asyncio.gather(*(worker() for _ in range(concurrency)))


def nothing() -> Work:
    """Import what a task imports, and do nothing: the memory of an empty task."""
    import airflow.providers.standard.operators.python
    import airflow.sdk  # noqa: F401

    return lambda: None


def raw_accounts(count: int, concurrency: int) -> Work:
    """Send the same requests with a bare client; read the replies and throw them away."""
    bodies = iter([json.dumps({"accountCode": account}).encode() for account in accounts(count)])
    return lambda: asyncio.run(_flood(INFO, bodies, concurrency, lambda _: None))


def raw_directory(pages: int, concurrency: int) -> Work:
    """Read the same pages with a bare client and throw them away."""
    bodies = iter([json.dumps({"pageNum": page, "pageSize": 100}).encode() for page in range(pages)])
    return lambda: asyncio.run(_flood(DIRECTORY, bodies, concurrency, lambda _: None))


def copy_and_merge(pages: int, concurrency: int) -> Work:
    """Read the pages with a bare client, COPY the rows into a temporary table, and merge that."""
    import psycopg

    from airflow_provider_cc.compat import BaseHook

    hook: Any = BaseHook.get_hook("warehouse")
    uri = hook.get_uri().replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(uri) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS merged (account text PRIMARY KEY, agent_id int, agent_type int,"
            " softphone text, synced_at timestamptz)"
        )
    rows: list[tuple[Any, ...]] = []

    def read(body: bytes) -> None:
        for row in json.loads(body)["data"]:
            rows.append((row["userAccount"], row["workNo"], row["agentType"], row["sipAccount"]))

    def work() -> None:
        bodies = iter([json.dumps({"pageNum": page, "pageSize": 100}).encode() for page in range(pages)])
        asyncio.run(_flood(DIRECTORY, bodies, concurrency, read))
        with psycopg.connect(uri) as connection:
            connection.execute("CREATE TEMPORARY TABLE fresh (LIKE merged)")
            with connection.cursor().copy(
                "COPY fresh (account, agent_id, agent_type, softphone) FROM STDIN"
            ) as copy:
                for row in rows:
                    copy.write_row(row)
            connection.execute(
                "INSERT INTO merged SELECT account, agent_id, agent_type, softphone, now() FROM fresh"
                " ON CONFLICT (account) DO UPDATE SET agent_id = excluded.agent_id,"
                " agent_type = excluded.agent_type, softphone = excluded.softphone, synced_at = now()"
            )

    return work


def sync(sink: bool = False, count: int = 0, **arguments: Any) -> Work:
    """Run the operator's whole `execute`; with a sink it does all but writing.

    :param sink: replace the warehouse
    :param count: sync that many accounts by list; 0 leaves the source to the arguments
    :param arguments: of the operator
    """
    from airflow_provider_cc.compat import BaseHook, get_variable
    from airflow_provider_cc.transfers import agents_to_sql

    for name in ("prepare", "Ledger", "Staging", "Application") if sink else ():
        setattr(agents_to_sql, name, Sink)
    if count:
        arguments["accounts"] = accounts(count)
    operator: Any = agents_to_sql.CCAgentsToSqlOperator(task_id="bench", sql_conn_id="warehouse", **arguments)
    # Imports what Airflow imports late: for Variables, all of its models, which a task never does.
    BaseHook.get_hook("warehouse")
    BaseHook.get_connection(operator.cc_conn_id)
    get_variable("nothing")
    task = SimpleNamespace(dag_id="bench", task_id="bench", run_id=os.urandom(8).hex(), map_index=-1)
    return lambda: {"counts": operator.execute({"ti": task})}


class Sink:
    """Stands in for all that writes, and forgets."""

    tags: ClassVar[dict[str, str]] = {}
    clock = Stopwatch()
    active = 0
    reject_reasons: ClassVar[dict[str, int]] = {}

    def __init__(self, *_: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    @contextlib.contextmanager
    def noting_failure(self, _: Any) -> Iterator[None]:
        """Note nothing."""
        yield

    def now(self) -> datetime.datetime:
        """Return the time, as cheaply as the real one."""
        return datetime.datetime.now(datetime.UTC)

    def active_count(self) -> int:
        """Have no rows."""
        return 0

    def staged(self) -> Iterator[Any]:
        """Have nothing staged."""
        return iter(())


def sync_in_phases(**arguments: Any) -> Work:
    """Run the operator's whole `execute`; tell the seconds of its phases, and the size of staging.

    :param arguments: of the operator
    """
    import psycopg

    from airflow_provider_cc.sync import metrics

    told: dict[str, Any] = {}
    timed = metrics.phase
    size = "SELECT pg_total_relation_size(%s)"

    @contextlib.contextmanager
    def noted(name: str, tags: metrics.Tags) -> Iterator[None]:
        if name == "apply":
            with psycopg.connect(_dsn()) as connection:
                (told["staged"],) = connection.execute(size, [f"{arguments['table']}_stage"]).fetchone() or ()
        begun = time.perf_counter()
        with timed(name, tags):
            yield
        told[name] = time.perf_counter() - begun

    metrics.phase = noted
    run = sync(**arguments)
    return lambda: {**(run() or {}), **told}


def step(
    task: str, run_id: str, shards: int, shard: int | None = None, ready: str = "", **arguments: Any
) -> Work:
    """Run the `execute` of one task of `cc_agents_sync`, as a worker does.

    :param task: prepare, read or apply
    :param run_id: the same for all tasks of a run
    :param shards: how many tasks read
    :param shard: which one this is
    :param ready: a folder; with it, begin only when this process and those of all other shards have met there
    :param arguments: of the group
    """
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_cc.compat import BaseHook, get_variable
    from airflow_provider_cc.transfers.agents_to_sql import cc_agents_sync

    with DAG("bench", schedule=None) as dag:
        cc_agents_sync("sync", shards=shards, sql_conn_id="warehouse", **arguments)
    operator: Any = dag.get_task(f"sync.{task}")
    if shard is not None:
        operator = operator.unmap({"shard": shard})
    # As for `sync`: what is imported late.
    BaseHook.get_hook("warehouse")
    BaseHook.get_connection(operator.cc_conn_id)
    get_variable("nothing")
    instance = SimpleNamespace(run_id=run_id, map_index=-1 if shard is None else shard)
    if ready:
        _meet(Path(ready), shards)

    def work() -> dict[str, Any]:
        begun, before = time.time(), busy()
        result = operator.execute({"ti": instance})
        return {"result": result, "begun": begun, "ended": time.time(), "busy": [before, busy()]}

    return work


def _meet(folder: Path, processes: int) -> None:
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 120
    while len(list(folder.iterdir())) < processes:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{processes} processes did not all start")
        time.sleep(0.01)


def http_hook_loop(count: int) -> Work:
    """Ask by `HttpHook` in a loop, as a `@task` does, and insert row by row at the end."""
    from airflow.providers.http.hooks.http import HttpHook

    from airflow_provider_cc.compat import BaseHook

    hook = HttpHook(method="POST", http_conn_id="center")
    warehouse: Any = BaseHook.get_hook("warehouse")
    warehouse.run("CREATE TABLE IF NOT EXISTS looped (account text, agent_id int, agent_type int)")

    def work() -> None:
        path, keys = token_request()
        token = hook.run(path, json=keys).json()["AccessToken"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        rows = []
        for account in accounts(count):
            data = hook.run(INFO, data=json.dumps({"accountCode": account}), headers=headers).json()["data"]
            rows.append((account, data["workNo"], data["agentType"]))
        warehouse.insert_rows("looped", rows, commit_every=1000)

    return work


def http_async_hook(count: int, concurrency: int) -> Work:
    """Ask by `HttpAsyncHook`, gathered behind a semaphore, and COPY the rows at the end."""
    import psycopg
    from airflow.providers.http.hooks.http import HttpAsyncHook

    from airflow_provider_cc.compat import BaseHook

    base, ca = address()
    path, keys = token_request()
    warehouse: Any = BaseHook.get_hook("warehouse")
    uri = warehouse.get_uri().replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS gathered (account text, agent_id int, agent_type int)")

    async def ask() -> list[tuple[Any, ...]]:
        hook = HttpAsyncHook(method="POST", http_conn_id="center")
        limit = asyncio.Semaphore(concurrency)
        connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca))
        async with aiohttp.ClientSession(connector=connector) as http:
            async with http.post(base + path, json=keys) as reply:
                token = (await reply.json())["AccessToken"]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

            async def one(account: str) -> tuple[Any, ...]:
                async with limit:
                    reply = await hook.run(http, INFO, json={"accountCode": account}, headers=headers)
                    data = (await reply.json())["data"]
                    return account, data["workNo"], data["agentType"]

            return await asyncio.gather(*(one(account) for account in accounts(count)))

    def work() -> None:
        rows = asyncio.run(ask())
        with (
            psycopg.connect(uri) as connection,
            connection.cursor().copy("COPY gathered FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)

    return work


def dlt_pipeline(count: int, concurrency: int) -> Work:
    """Ask in an asynchronous dlt pipeline with a transformer, merged into PostgreSQL."""
    folder = os.environ["BENCH_FOLDER"]
    os.environ["DLT_DATA_DIR"] = folder
    import dlt

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["EXTRACT__MAX_PARALLEL_ITEMS"] = str(concurrency)
    base, ca = address()
    path, keys = token_request()
    to = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    # dlt insists on a password, which the server does not ask for.
    uri = f"postgresql://{to['login']}:none@{to['host']}:{to['port']}/{to['schema']}"
    pipeline = dlt.pipeline(
        "bench", destination=dlt.destinations.postgres(uri), dataset_name="piped", pipelines_dir=folder
    )
    shared: dict[str, Any] = {}

    async def session() -> aiohttp.ClientSession:
        if "http" not in shared:
            connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca))
            shared["http"] = http = aiohttp.ClientSession(base, connector=connector)
            async with http.post(path, json=keys) as reply:
                token = (await reply.json())["AccessToken"]
            shared["headers"] = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        http = shared["http"]
        while "headers" not in shared:
            await asyncio.sleep(0.01)
        return http

    @dlt.resource
    def codes() -> Iterator[str]:
        yield from accounts(count)

    @dlt.transformer(data_from=codes, name="agent", write_disposition="merge", primary_key="account")
    async def agent(account: str) -> dict[str, Any]:
        http = await session()
        async with http.post(INFO, json={"accountCode": account}, headers=shared["headers"]) as reply:
            data = (await reply.json())["data"]
        return {"account": account, "agent_id": data["workNo"], "agent_type": data["agentType"]}

    return lambda: {"loaded": str(pipeline.run(codes | agent).has_failed_jobs)}


def paced(count: int, table: str) -> Work:
    """Sync against a server that refuses some; tell when a request was accepted, and how many were not.

    :param count: accounts
    :param table: agent table, which is also the tenant
    """
    from airflow_provider_cc.hooks.rate_limit import RateLimiter

    accepted: list[float] = []
    refused = 0
    note, deny = RateLimiter.accepted, RateLimiter.refused

    def noting(limiter: RateLimiter) -> None:
        accepted.append(time.monotonic())
        note(limiter)

    def denying(limiter: RateLimiter, retry_after: float | None) -> None:
        nonlocal refused
        refused += 1
        deny(limiter, retry_after)

    RateLimiter.accepted, RateLimiter.refused = noting, denying  # type: ignore[method-assign]
    run = sync(count=count, softphones="none", table=table, tenant=table)

    def work() -> dict[str, Any]:
        counts = (run() or {})["counts"]
        return {
            "accepted": accepted,
            "refused": refused,
            "throttled": counts["throttled_seconds"],
            "lost": count - counts["synced"],
        }

    return work


def token() -> Work:
    """Sign in, for those who cannot."""
    import requests

    base, ca = address()
    path, keys = token_request()
    return lambda: {
        "token": requests.post(base + path, json=keys, verify=ca, timeout=30).json()["AccessToken"]
    }


def stage_and_apply(rows: int, changed: int, table: str, history: bool = True) -> Work:
    """Stage answers and apply them, without a contact center.

    :param rows: answers, one for each account
    :param changed: every so manieth account has another agent ID than in the first run; 0 for none
    :param table: agent table
    :param history: whether to keep versions
    """
    from airflow_provider_cc.sync.answers import ROW, Answer
    from airflow_provider_cc.sync.apply import Application
    from airflow_provider_cc.sync.columns import AGENT_COLUMNS
    from airflow_provider_cc.sync.counts import Counts
    from airflow_provider_cc.sync.database import database_of
    from airflow_provider_cc.sync.ledger import Ledger
    from airflow_provider_cc.sync.schema import define, prepare
    from airflow_provider_cc.sync.stage import Staging

    names = [column.name for column in AGENT_COLUMNS]
    database = database_of("warehouse")
    tables = define(AGENT_COLUMNS, table, f"{table}_history" if history else None, "cc_agent_reject", "runs")
    prepare(database, tables)
    key = {
        "dag_id": "bench",
        "task_id": "bench",
        "run_id": os.urandom(8).hex(),
        "map_index": -1,
        "tenant": "x",
    }

    def work() -> dict[str, Any]:
        begun = time.perf_counter()
        ledger = Ledger(database, tables, key, "bench")
        ledger.begin("accounts")
        staging = Staging(database, tables, ledger, names)
        for first in range(0, rows, 1000):
            read_at = staging.now()
            batch = [
                Answer(
                    account, ROW, read_at, (number + bool(changed and number % changed == 0), 5, "0", account)
                )
                for number, account in enumerate(_padded(first, min(first + 1000, rows)), start=first)
            ]
            staging.append(batch, Counts())
        staged = time.perf_counter()
        counts = Counts(requested=rows, unique=rows, synced=rows)
        Application(database, tables, ledger, names).apply(counts, 0.5)
        database.close()
        return {"stage": staged - begun, "apply": time.perf_counter() - staged}

    return work


def copy_and_upsert(rows: int, table: str) -> Work:
    """Do what comes closest by hand: `COPY` into a temporary table, `INSERT … ON CONFLICT DO UPDATE`."""
    import psycopg

    columns = ("agent_id", "agent_type", "agent_status", "softphone_number", "is_active")
    times = ("first_seen_at", "changed_at", "synced_at")
    create = (
        f"CREATE TABLE IF NOT EXISTS {table} (tenant varchar(250), account varchar(100), agent_id int,"
        " agent_type int, agent_status varchar(64), softphone_number varchar(64), is_active bool,"
        " first_seen_at timestamptz, changed_at timestamptz, synced_at timestamptz,"
        " PRIMARY KEY (tenant, account))"
    )
    index = f"CREATE INDEX IF NOT EXISTS {table}_number ON {table} (softphone_number)"
    updates = ", ".join(f"{name} = excluded.{name}" for name in (*columns, times[-1]))
    now = "2026-01-01 00:00:00+00"
    text = "".join(
        f"x\t{account}\t{number}\t5\t0\t{account}\tt\t{now}\t{now}\t{now}\n"
        for number, account in enumerate(_padded(0, rows))
    )

    def work() -> None:
        with psycopg.connect(_dsn()) as connection:
            connection.execute(create)
            connection.execute(index)
            connection.execute(f"CREATE TEMP TABLE arrived (LIKE {table}) ON COMMIT DROP")
            with connection.cursor().copy("COPY arrived FROM STDIN") as copy:
                copy.write(text)
            upsert = f"INSERT INTO {table} SELECT * FROM arrived ON CONFLICT (tenant, account) DO UPDATE SET "  # noqa: S608
            connection.execute(upsert + updates)

    return work


def _dsn() -> str:
    return dsn(os.environ["AIRFLOW_CONN_WAREHOUSE"])


def _padded(first: int, end: int) -> Iterator[str]:
    return (f"agent{number:07d}" for number in range(first, end))
