"""A real Airflow that says all it can say, and everything that is left when it has run."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy
from cryptography.fernet import Fernet

from scripts.airflow_home import CHECKOUT, AirflowHome
from tests.hard.canaries.canaries import Search

#: Found in a place: which canaries, and what is around the first one.
Found = dict[str, dict[str, Any]]

IS_3 = version("apache-airflow").startswith("3")
#: Told by every process of Airflow's, whatever its configuration says.
_TALKATIVE = """
import logging
for name in ("requests", "urllib3", "aiohttp", "aiohttp.client", "asyncio", "sqlalchemy", "sqlalchemy.engine",
             "sqlalchemy.pool", "sqlalchemy.orm", "httpx", "httpcore", "airflow_provider_cc"):
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.setLevel = lambda level: None
"""
#: At DEBUG, `airflow dags test` itself prints what a task asks it to mask: docs/security.md warns of that.
_DAGS_TEST = re.compile(rb"Sending request .* msg=MaskSecret\(.*")
_LESS_PATIENT = ("poke_interval=timedelta(minutes=1)", "poke_interval=timedelta(seconds=1)")
#: From the standard input, so that no secret is on a command line or in a file.
_CONNECT = """
import json, sys
from airflow.models import Connection
from airflow.utils.session import create_session
with create_session() as session:
    for conn_id, fields in json.load(sys.stdin).items():
        extra = json.dumps(fields.pop("extra", {}))
        session.add(Connection(conn_id=conn_id, extra=extra, **fields))
"""


class AirflowRun:
    """An Airflow at DEBUG whose connections are in its metadata database, sealed.

    :param directory: for all that it writes
    :param database: a migrated metadata database, to be copied
    :param connections: what is connected
    :param warehouse: URL of the database that the connection ``warehouse`` leads to
    """

    def __init__(
        self, directory: Path, database: Path, connections: Mapping[str, dict[str, Any]], warehouse: str
    ) -> None:
        self.key = Fernet.generate_key().decode()
        self.temporary = directory / "tmp"
        dags, python = directory / "dags", directory / "python"
        for folder in (self.temporary, dags, python):
            folder.mkdir(parents=True)
        (python / "sitecustomize.py").write_text(_TALKATIVE)
        for dag in (CHECKOUT / "dags").glob("*.py"):
            # Each attempt of a failing call would wait five times.
            (dags / dag.name).write_text(dag.read_text().replace(*_LESS_PATIENT))
        shutil.copy(Path(__file__).with_name("dags_of_our_own.py"), dags)
        self.warehouse = warehouse
        self.home = AirflowHome(
            directory / "airflow",
            {
                "PYTHONPATH": str(python),
                "PYTHONASYNCIODEBUG": "1",
                "TMPDIR": str(self.temporary),
                "AIRFLOW__CORE__FERNET_KEY": self.key,
                "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
                "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
                "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "sqlalchemy.engine=DEBUG httpx=DEBUG",
                "AIRFLOW__LOGGING__FAB_LOGGING_LEVEL": "DEBUG",
            },
            dags=dags,
        )
        self.home.migrate(template=database)
        subprocess.run(
            [sys.executable, "-c", _CONNECT],
            input=json.dumps(connections).encode(),
            env=self.home.environment,
            cwd=self.home.directory,
            check=True,
            capture_output=True,
            timeout=200,
        )
        self._conn_ids = list(connections)

    # Runs

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run by the REST API of the running Airflow."""
        body = {"dag_run_id": run_id, "conf": conf, **({"logical_date": None} if IS_3 else {})}
        self.ask("POST", f"dags/{dag_id}/dagRuns", body)

    def states(self) -> dict[str, str]:
        """Return the state of every run, by its id and DAG."""
        return {
            f"{run} {dag}": state
            for run, dag, state in self._rows("SELECT run_id, dag_id, state FROM dag_run")
        }

    def tasks(self) -> list[tuple[str, ...]]:
        """Return run, DAG, task and state of every task instance."""
        return self._rows("SELECT run_id, dag_id, task_id, state FROM task_instance")

    def _rows(self, sql: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.home.database, timeout=60)) as connection:
            return connection.execute(sql).fetchall()

    # The REST API

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Ask the running Airflow's REST API; an error's text is an answer, too."""
        url = f"http://127.0.0.1:{self.home.port}/api/{'v2' if IS_3 else 'v1'}/{path}"
        request = urllib.request.Request(url, method=method)
        request.add_header("Authorization", self._authorization())
        request.add_header("Content-Type", "application/json")
        request.add_header("Accept", "application/json")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=120) as reply:  # noqa: S310
                return bytes(reply.read())
        except urllib.error.HTTPError as error:
            return b"HTTP %d " % error.code + error.read()

    def _authorization(self) -> str:
        if IS_3:
            if not hasattr(self, "_token"):
                url = f"http://127.0.0.1:{self.home.port}/auth/token"
                with urllib.request.urlopen(url, timeout=120) as reply:
                    self._token = json.load(reply)["access_token"]
            return f"Bearer {self._token}"
        password = (self.home.directory / "standalone_admin_password.txt").read_text().strip()
        return "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()

    def answers(self) -> Iterator[tuple[str, bytes]]:
        """Give what the REST API says about everything."""
        paths = ["connections", "variables", "importErrors", "eventLogs", "dags", "assets", "assets/events"]
        paths += ["dags/~/dagRuns", "dags/~/dagRuns/~/taskInstances?limit=1000"]
        paths += [f"connections/{conn_id}" for conn_id in self._conn_ids]
        for dag, run, task, index, tries in self._rows(
            "SELECT dag_id, run_id, task_id, map_index, try_number FROM task_instance"
        ):
            instance = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}"
            paths.append(f"{instance}/xcomEntries/return_value")
            paths.append(f"{instance}{'' if index < 0 else f'/{index}'}")
            paths += [
                f"{instance}/logs/{number}?full_content=true&map_index={index}"
                for number in range(1, tries + 1)
            ]
        for path in paths:
            yield path, self.ask("GET", path)

    # What is left

    def left(self, by_dags_test: bool) -> Iterator[tuple[str, str, bytes]]:
        """Give place, name and content of everything that Airflow has written."""
        for path in [self.home.log, *(self.home.directory / "logs").rglob("*")]:
            if path.is_file():
                said = path.read_bytes()
                if by_dags_test:
                    said = _DAGS_TEST.sub(b"", said)
                yield "logs", str(path.relative_to(self.home.directory)), said
        for (table,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
            for number, row in enumerate(self._rows(f'SELECT * FROM "{table}"')):
                values = [it if isinstance(it, bytes) else str(it).encode() for it in row if it is not None]
                for value in values:
                    yield "database", f"{table} {number}", value
        engine = sqlalchemy.create_engine(self.warehouse, poolclass=sqlalchemy.pool.NullPool)
        with engine.connect() as connection:
            for table in sqlalchemy.inspect(connection).get_table_names():
                rows = connection.execute(sqlalchemy.text(f'SELECT * FROM "{table}"'))
                yield "warehouse", table, repr([tuple(row) for row in rows]).encode()
        for path in self.temporary.rglob("*"):
            if path.is_file():
                yield "temporary files", path.name, path.read_bytes()

    def found(self, search: Search, with_answers: bool = True) -> Found:
        """Search all of it.

        :param search: what for
        :param with_answers: ask the REST API, too, which must be running: it was no `airflow dags test`
        """
        found: Found = defaultdict(dict)
        for place, name, content in self.left(by_dags_test=not with_answers):
            # Airflow's own connections, sealed with its own key, hold what they are there to hold.
            # So do the rows that SQLAlchemy logs at DEBUG when Airflow reads them.
            sealed = place == "logs" or (place == "database" and name.startswith("connection "))
            if hits := search.hits(content, unsealed=not sealed):
                found[place][name] = (hits, search.where(content))
        for name, content in self.answers() if with_answers else ():
            if hits := search.hits(content, unsealed="/logs/" not in name):
                found["answers"][name] = (hits, search.where(content))
        return dict(found)


class Watch:
    """Looks at processes and temporary files, again and again, as long as it is entered.

    :param search: what for
    :param temporary: folder of the temporary files
    """

    def __init__(self, search: Search, temporary: Path) -> None:
        self._search, self._temporary = search, temporary
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._seen: dict[str, tuple[int, int]] = {}
        self.found: Found = defaultdict(dict)
        #: How many different command lines, environments and temporary files were looked at.
        self.looks = {"command lines": 0, "environments": 0, "temporary files": 0}

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.look()

    def look(self) -> None:
        """Look once."""
        for path in self._temporary.rglob("*"):
            self._file("temporary files", path)
        for process in psutil.Process(os.getpid()).children(recursive=True):
            root = Path(f"/proc/{process.pid}")
            self._once("command lines", root, root / "cmdline")
            self._once("environments", root, root / "environ")
            with contextlib.suppress(OSError):
                for opened in (root / "fd").iterdir():
                    if str(self._temporary) in os.readlink(opened):  # deleted or not
                        self._file("temporary files", opened)

    def _once(self, place: str, root: Path, path: Path) -> None:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            key = f"{path} {hash(content)}"
            if key not in self._seen:
                self._seen[key] = (0, 0)
                self._note(place, f"{root.name}", content)

    def _file(self, place: str, path: Path) -> None:
        with contextlib.suppress(OSError):
            stat = path.stat()
            state = (stat.st_mtime_ns, stat.st_size)
            key = f"{stat.st_dev} {stat.st_ino}"
            if path.is_file() and self._seen.get(key) != state and stat.st_size < 50_000_000:
                self._seen[key] = state
                self._note(place, path.name, path.read_bytes())

    def _note(self, place: str, name: str, content: bytes) -> None:
        self.looks[place] += 1
        if hits := self._search.hits(content):
            self.found[place][name] = (hits, self._search.where(content))


def wait_until(condition: Any, seconds: float, what: str) -> None:
    """Wait for something that is to come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(0.5)
