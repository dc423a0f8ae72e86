"""A throw-away Airflow: its own home, its own metadata database, nothing of the caller's configuration."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast

from scripts.ports import free_port

# Longer than any command or start takes, on a machine that is busy, too; what hangs is ended.
_COMMAND_SECONDS = 280

# Of the log of `airflow standalone`: requests that succeeded, and the statistics of the DAG processor.
_ROUTINE = re.compile(r"\[http\.access\].* status_code=[123]|^dag-processor(?!.*error)")

CHECKOUT = Path(__file__).resolve().parent.parent


class AirflowFailed(Exception):
    """An Airflow command, or a run that was waited for, failed; the message ends with the log's end."""


@dataclass(frozen=True)
class Run:
    """What became of a DAG run.

    :param state: "success" or "failed"
    :param tasks: state of each task instance, by task id and map index (-1: not mapped)
    :param xcoms: what each returned, by the same key
    :param log: everything that was logged meanwhile
    """

    state: str
    tasks: Mapping[tuple[str, int], str]
    xcoms: Mapping[tuple[str, int], Any]
    log: str


class AirflowHome:
    """An Airflow that lives in one directory.

    :param directory: its home; made when absent
    :param environment: further settings: connections as ``AIRFLOW_CONN_…``, options as ``AIRFLOW__…``
    :param dags: folder of the DAGs
    :param python: interpreter of the environment that Airflow is installed in; this one unless given
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        dags: Path = CHECKOUT / "dags",
        python: Path = Path(sys.executable),
    ) -> None:
        self.directory = directory
        self.python = python
        self.log = directory / "airflow.log"
        self._commands: tuple[IO[str], IO[str]] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            # `airflow standalone` starts its parts by name.
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(directory),
            "HOME": str(directory),  # the web server of Airflow 2 writes there
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": "1",  # s: here a retry waits for nothing
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",  # s: a busy machine takes its time to import
            # s: to a task's first call, the API server replies after 10 s, on a busy machine much later.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            # Airflow's services share one file: without patience, a scheduler dies of another's lock.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{directory}/airflow.db?timeout=60",
            **environment,
        }

    def migrate(self, template: Path | None = None) -> None:
        """Make the metadata database.

        :param template: a database migrated earlier by the same Airflow, to be copied instead
        """
        if template is None:
            self.airflow("db", "migrate")
        else:
            shutil.copy(template, self.database)
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # who reads locks nobody out

    @property
    def database(self) -> Path:
        """The file of the metadata database."""
        return self.directory / "airflow.db"

    def airflow(self, *arguments: str, must_succeed: bool = True) -> int:
        """Run an Airflow command; what it says goes to the log.

        :param arguments: of the command ``airflow``
        :param must_succeed: raise where it does not
        :return: its exit code
        """
        code = self._run(arguments)
        if code and must_succeed:
            raise AirflowFailed(f"airflow {' '.join(arguments)} failed, see {self.log}\n{self.log_end()}")
        return code

    def _run(self, arguments: Sequence[str]) -> int:
        if self._commands is not None:
            orders, answers = self._commands
            print(
                json.dumps({"arguments": arguments, "environment": self.environment}), file=orders, flush=True
            )
            if not (code := answers.readline()):
                raise AirflowFailed(f"airflow {' '.join(arguments)} ended, see {self.log}\n{self.log_end()}")
            return int(code)
        with self.log.open("ab") as log:
            return subprocess.run(
                [self.python, "-m", "airflow", *arguments],
                cwd=self.directory,  # Python looks for packages there: not in the folder of the caller
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=_COMMAND_SECONDS,
                check=False,
            ).returncode

    @contextlib.contextmanager
    def one_process(self) -> Iterator[None]:
        """Run all commands in one process until the end of the ``with`` block, without a start for each."""
        with (
            self.log.open("ab") as log,
            subprocess.Popen(
                [self.python, CHECKOUT / "scripts" / "airflow_commands.py"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a group of its own, which ends as a whole
            ) as process,
        ):
            orders, answers = cast("tuple[IO[str], IO[str]]", (process.stdin, process.stdout))
            self._commands = orders, answers
            try:
                yield
            finally:
                self._commands = None
                # It is idle: to end by itself would take it two seconds, and its children could wait forever.
                os.killpg(process.pid, signal.SIGKILL)

    def run_dag(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> Run:
        """Run a DAG once, from beginning to end, with ``airflow dags test``.

        :param dag_id: the DAG
        :param conf: its params, where they differ from the defaults
        """
        if version("apache-airflow").startswith("3.0."):
            self._make_up_for_3_0()
        seen = self.log.stat().st_size if self.log.exists() else 0
        self.airflow("dags", "test", dag_id, *_conf_option(conf), must_succeed=False)
        with self.log.open("rb") as log:
            log.seek(seen)
            said = log.read().decode(errors="replace")
        found = self._query("SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 1", dag_id)
        if not found:
            raise AirflowFailed(f"{dag_id} did not run, see {self.log}\n{self.log_end()}")
        return self.result(dag_id, found[0][0], said)

    def _make_up_for_3_0(self) -> None:
        """Help a ``dags test`` that refuses outlets it never met, and prints every secret that it masks."""
        settings = self.directory / "config" / "airflow_local_settings.py"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(
            "import logging, structlog\n"
            "structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))\n"
        )
        self.airflow("dags", "reserialize")

    @contextlib.contextmanager
    def standalone(self, command: str = "standalone", path: str = "") -> Iterator[None]:
        """Run scheduler, DAG processor, triggerer and API server until the end of the ``with`` block.

        The web interface listens on :attr:`port`.

        :param command: ``api-server`` for this one only
        :param path: that everything is below, as behind a proxy
        """
        self.port = free_port()
        self.environment |= {
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}{path}",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}{path}/execution/",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(self.port),
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [self.python, "-m", "airflow", command],
                cwd=self.directory,  # Python looks for packages there: not in the folder of the caller
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own: nothing in it outlives the block
            )
        self._standalone = process
        try:
            yield
        finally:
            _end_group(process)

    def wait_for_web(self) -> None:
        """Wait until the web interface of the running :meth:`standalone` answers."""
        self._wait_until(self._web_answers, _COMMAND_SECONDS, "answer of the web interface")

    def _web_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5):
                return True
        except OSError:
            return False

    def wait_for_end(self) -> None:
        """Wait until the running :meth:`standalone` ends by itself, which it does only when it fails."""
        self._standalone.wait()
        raise AirflowFailed(f"Airflow ended, see {self.log}\n{self.log_end()}")

    def unpause(self, dag_id: str) -> None:
        """Let the running :meth:`standalone` schedule a DAG, as soon as it knows it.

        A DAG with a schedule has its first run at once: the one that was due last.

        :param dag_id: the DAG
        """
        known = "SELECT 1 FROM dag JOIN serialized_dag USING (dag_id) WHERE dag_id = ?"
        self._wait_until(lambda: self._query(known, dag_id), _COMMAND_SECONDS, dag_id)
        self.airflow("dags", "unpause", "--yes", dag_id)

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any] | None = None) -> None:
        """Start a run in the running :meth:`standalone`.

        :param dag_id: the DAG
        :param run_id: name for the run
        :param conf: its params, where they differ from the defaults
        """
        self.airflow("dags", "trigger", dag_id, "--run-id", run_id, *_conf_option(conf))

    def wait_for(self, dag_id: str, run_id: str = "%", seconds: float = 120) -> Run:
        """Wait for the end of a run in the running :meth:`standalone`.

        :param dag_id: the DAG
        :param run_id: the run; the first that ends, unless given
        :param seconds: how long
        """
        ended = (
            "SELECT run_id FROM dag_run WHERE dag_id = ? AND run_id LIKE ? AND state IN ('success', 'failed')"
        )
        self._wait_until(lambda: self._query(ended, dag_id, run_id), seconds, f"end of {dag_id}")
        logs = sorted((self.directory / "logs").rglob("*.log"))
        log = "\n".join(path.read_text(errors="replace") for path in logs)
        return self.result(dag_id, self._query(ended, dag_id, run_id)[0][0], log)

    def result(self, dag_id: str, run_id: str, log: str) -> Run:
        """Read from the metadata database what became of a run.

        :param dag_id: the DAG
        :param run_id: the run
        :param log: what was logged meanwhile
        """
        ((state,),) = self._query("SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?", dag_id, run_id)
        tasks = self._query(
            "SELECT task_id, map_index, state FROM task_instance WHERE dag_id = ? AND run_id = ?",
            dag_id,
            run_id,
        )
        xcoms = self._query(
            "SELECT task_id, map_index, value FROM xcom"
            " WHERE dag_id = ? AND run_id = ? AND key = 'return_value'",
            dag_id,
            run_id,
        )
        return Run(
            state=state,
            tasks={(task_id, map_index): task_state for task_id, map_index, task_state in tasks},
            xcoms={(task_id, map_index): _decode(value) for task_id, map_index, value in xcoms},
            log=log,
        )

    def _query(self, sql: str, *parameters: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def _wait_until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self._standalone.poll() is not None or time.monotonic() > deadline:
                raise AirflowFailed(f"no {what} within {seconds:.0f} s, see {self.log}\n{self.log_end()}")
            time.sleep(0.2)

    def log_end(self, lines: int = 30) -> str:
        """Return the end of the log, without routine lines.

        :param lines: maximum number of lines
        """
        log = self.log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in log if not _ROUTINE.search(line)][-lines:])


def _conf_option(conf: Mapping[str, Any] | None) -> Sequence[str]:
    return ["--conf", json.dumps(conf)] if conf else []


def _decode(value: Any) -> Any:
    # SQLite hands out a JSON column's numbers as numbers, everything else as text.
    return json.loads(value) if isinstance(value, str | bytes) else value


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    """End a process group, its leader's children included: they outlive the leader by some seconds."""
    deadline = time.monotonic() + 15
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGTERM)
        while True:
            leader.poll()
            time.sleep(0.1)
            os.killpg(leader.pid, 0 if time.monotonic() < deadline else signal.SIGKILL)
