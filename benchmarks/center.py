"""The contact center and the database that everything is measured against."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.postgres import postgres

CHECKOUT = Path(__file__).resolve().parent.parent

INFO = "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount"
DIRECTORY = "/apiaccess/rest/cc-management/v1/agentAccount/query"


def accounts(count: int) -> list[str]:
    """Return account codes that the simulator knows."""
    return [f"agent{number:06d}" for number in range(count)]


def address() -> tuple[str, str]:
    """Return the center's address and the path of its authority's certificate."""
    connection = json.loads(os.environ["AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"])
    return f"https://127.0.0.1:{connection['port']}", connection["extra"]["verify"]


def token_request() -> tuple[str, dict[str, str]]:
    """Return path and body of a sign-in."""
    connection = json.loads(os.environ["AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"])
    keys = {"app_key": connection["login"], "app_secret": connection["password"]}
    return "/apigovernance/api/oauth/tokenByAkSk", keys


@contextlib.contextmanager
def center(*options: str, agents: int, concurrency: int) -> Iterator[dict[str, str]]:
    """Run a simulated contact center in a process of its own; yield Airflow's connections to it.

    :param options: of the simulator's command line
    :param agents: how many
    :param concurrency: goes into the connection
    """
    command = [sys.executable, "-m", "airflow_provider_cc.simulator", "--agents", str(agents), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as simulator:
        try:
            yield _connections(simulator, concurrency)
        finally:
            simulator.terminate()


def _connections(simulator: subprocess.Popen[str], concurrency: int) -> dict[str, str]:
    connections: dict[str, str] = {}
    for line in simulator.stdout or ():
        if not line.strip():
            break
        if line.startswith("export "):
            name, value = shlex.split(line)[1].split("=", 1)
            connections[name] = value
    management: dict[str, Any] = json.loads(connections["AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"])
    management["extra"] |= {"max_concurrency": concurrency}
    connections["AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"] = json.dumps(management)
    # For those who measure what Airflow's HTTP provider does with the same center.
    web = {"conn_type": "http", "host": "127.0.0.1", "port": management["port"], "schema": "https"}
    web["extra"] = {"verify": management["extra"]["verify"]}
    connections["AIRFLOW_CONN_CENTER"] = json.dumps(web)
    return connections


@contextlib.contextmanager
def warehouse(folder: Path) -> Iterator[dict[str, str]]:
    """Run a PostgreSQL server; yield Airflow's connection to it.

    :param folder: where to keep its data meanwhile
    """
    with postgres(folder / "postgres") as connection:
        yield {"AIRFLOW_CONN_WAREHOUSE": connection}


def dsn(connection: str) -> str:
    """Return what psycopg connects by.

    :param connection: Airflow's connection to the warehouse, as JSON
    """
    to = json.loads(connection)
    return f"host={to['host']} port={to['port']} user={to['login']} dbname={to['schema']}"


def busy() -> float:
    """Return the seconds that the machine's CPUs have not been idle, since it was started."""
    import psutil  # not by all that is measured

    times = psutil.cpu_times()
    guests = times.guest + times.guest_nice  # these are in the times of users, too
    return float(sum(times) - guests - times.idle - times.iowait)


def measure(environment: dict[str, str], name: str, **options: Any) -> dict[str, Any]:
    """Measure a variant in a process of its own.

    :param environment: connections
    :param name: a function of :mod:`benchmarks.variants`
    :param options: its arguments
    """
    command = [sys.executable, "-m", "benchmarks.client", name, json.dumps(options)]
    ended = subprocess.run(
        command,
        env={**os.environ, **environment},
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(f"{name} failed:\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}")
    figures: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return figures
