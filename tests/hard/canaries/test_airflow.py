"""Every DAG, run by Airflow's own services at DEBUG, in every failure of the contact center.

Afterwards nothing that Airflow has written or answers holds a secret or personal data; and where one of each
is planted, the same search finds it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from cryptography.fernet import Fernet

from airflow_provider_cc.simulator import Simulator
from scripts.postgres import postgres
from tests.hard.canaries.airflow_run import AirflowRun, Watch, wait_until
from tests.hard.canaries.asking import connections
from tests.hard.canaries.canaries import Search, canary
from tests.hard.canaries.center import FAULTS, SETTINGS, canary_center

NEWCOMER = "new.one"
#: The failures that share an Airflow.
GROUPS = [
    ["none", "refused"],
    ["lapsed", "business failures", "refused by 403", "not allow-listed"],
    ["types", "untrusted"],
    ["away", "too many", "HTML", "sticky"],
    ["reset before", "reset midway", "truncated", "wrong credential"],
    ["empty", "overridden", "expiring", "hanging"],
]
#: Passwords of one to four characters, which Airflow's masker lets through; nothing else has these letters.
SHORT = {
    "app_secret": "ꙮ",
    "user_password": "ꙮჶ",
    "admin_password": "ჶჷ",
    "vdn_password": "ჷꙮჶ",
    "isales_password": "ꙮჷჶꙮ",
}


def started(center: Simulator, suffix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the runs that a contact center is asked by: DAG and params."""
    management = {"cc_conn_id": f"cc_management_default{suffix}"}
    yield "cc_agents_from_directory", management
    yield "cc_agents_from_accounts", {**management, "accounts": [*center.accounts(), "nobody"]}
    yield "cc_agent_history", management
    yield (
        "cc_check_softphones",
        {"cc_conn_id": f"cc_gateway_default{suffix}", "agent_conn_ids": [f"cc_agent_default{suffix}"]},
    )
    yield "cc_isales_session", {"cc_conn_id": f"cc_isales_default{suffix}"}
    yield "cc_wait_for_agent", {**management, "account": NEWCOMER}
    yield "every_operator", {"n": suffix}


@contextlib.contextmanager
def airflow_with(
    names: list[str], folder: Path, database: Path, secrets: Mapping[str, str] | None = None
) -> Iterator[tuple[AirflowRun, Search, dict[str, Simulator], dict[str, str]]]:
    """Give an Airflow that knows a contact center for each failure, and what to search for."""
    with ExitStack() as stack:
        password = canary()
        canaries = {"password of the warehouse": password}
        warehouse = json.loads(stack.enter_context(postgres(folder / "postgres")))
        known: dict[str, dict[str, Any]] = {"warehouse": {**warehouse, "password": password}}
        centers: dict[str, Simulator] = {}
        for number, name in enumerate(names):
            settings = dict(SETTINGS.get(name, {}))
            extra = {"share_session": True, **settings.pop("extra", {})}
            center, own = stack.enter_context(
                canary_center(folder / f"certificates{number}", FAULTS[name], secrets, **settings)
            )
            suffix = f"_{number}"
            centers[suffix] = center
            canaries |= {f"{kind} ({name})": value for kind, value in own.items()}
            for conn_id, connection in connections(center, **extra).items():
                if name == "wrong credential" and connection.get("password"):
                    wrong = canaries[f"wrong {conn_id}"] = canary(32)
                    connection["password"] = wrong
                known[conn_id + suffix] = connection
        url = f"postgresql+psycopg2://{warehouse['login']}@127.0.0.1:{warehouse['port']}/postgres"
        airflow = AirflowRun(folder / "run", database, known, url)
        yield airflow, Search(canaries, airflow.key), centers, canaries


def run_all(airflow: AirflowRun, centers: Mapping[str, Simulator]) -> None:
    """Run every DAG on every contact center; a newcomer that is waited for comes once all others are done."""
    dags = {dag for center in centers.values() for dag, _ in started(center, "")} | {"cc_softphone_owners"}
    known = "SELECT COUNT(*) FROM serialized_dag"
    wait_until(lambda: airflow._rows(known)[0][0] >= len(dags), 280, "DAGs")
    airflow.home.airflow("dags", "unpause", "--yes", "--treat-dag-id-as-regex", ".*")
    for suffix, center in centers.items():
        for dag_id, conf in started(center, suffix):
            airflow.trigger(dag_id, f"run{suffix}", conf)

    def open_runs() -> list[str]:
        return [run for run, state in airflow.states().items() if state not in ("success", "failed")]

    wait_until(lambda: all("cc_wait_for_agent" in run for run in open_runs()), 2400, "end of the runs")
    for center in centers.values():
        center.add_agent(NEWCOMER)
    wait_until(lambda: not open_runs(), 1200, "end of the waits")


def plant(airflow: AirflowRun, canaries: Mapping[str, str]) -> None:
    """Leave one of each kind in each place, sealed where the place seals."""
    everything = json.dumps(list(canaries.values()), ensure_ascii=False)
    (airflow.home.directory / "logs" / "planted.log").write_text(everything)
    (airflow.temporary / "planted").write_text(everything)
    engine = sqlalchemy.create_engine(airflow.warehouse)
    with engine.begin() as warehouse:
        warehouse.execute(sqlalchemy.text("CREATE TABLE planted (it TEXT)"))
        warehouse.execute(sqlalchemy.text("INSERT INTO planted VALUES (:it)"), {"it": everything})
    engine.dispose()
    with contextlib.closing(sqlite3.connect(airflow.home.database, timeout=60)) as connection, connection:
        sealed = Fernet(airflow.key).encrypt(everything.encode()).decode()
        connection.execute(
            "INSERT INTO variable (key, val, is_encrypted) VALUES ('planted', ?, 1)", (sealed,)
        )


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("names", GROUPS, ids=["+".join(names) for names in GROUPS])
def test_nothing_is_left(names: list[str], tmp_path: Path, migrated_database: Path) -> None:
    with airflow_with(names, tmp_path, migrated_database) as (airflow, search, centers, canaries):
        watch = Watch(search, airflow.temporary)
        with watch, airflow.home.standalone():
            airflow.home.wait_for_web()
            run_all(airflow, centers)
            for conn_id, connection in list(connections(next(iter(centers.values()))).items())[:3]:
                form = {**connection, "extra": json.dumps(connection["extra"])}
                tested = airflow.ask("POST", "connections/test", {"connection_id": conn_id, **form})
                assert not search.hits(tested), tested
            assert airflow.found(search) == {}
            assert watch.found == {}
            assert watch.looks["command lines"], watch.looks
            assert watch.looks["environments"], watch.looks
            states = [state for *_, state in airflow.tasks()]
            assert "success" in states or "none" not in names, airflow.tasks()

            plant(airflow, canaries)
            with subprocess.Popen(
                [sys.executable, "-c", "input()", *canaries.values()], stdin=subprocess.PIPE
            ):
                watch.look()
            found = airflow.found(search)
            assert watch.found["command lines"]
            assert watch.found["temporary files"]
            assert found["answers"]
            for place in ("logs", "database", "temporary files", "warehouse"):
                assert set.union(*(hits for hits, _ in found[place].values())) == set(canaries), place


@pytest.mark.timeout(3600)
def test_nor_of_short_secrets(tmp_path: Path, migrated_database: Path) -> None:
    with (
        airflow_with(["none", "refused"], tmp_path, migrated_database, SHORT) as (
            airflow,
            search,
            centers,
            _,
        ),
        airflow.home.standalone(),
    ):
        airflow.home.wait_for_web()
        run_all(airflow, centers)
        assert airflow.found(search) == {}
