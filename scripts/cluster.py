"""A throw-away Airflow of many processes: CeleryExecutor, Redis, PostgreSQL, workers that can be killed."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from cryptography.fernet import Fernet

from scripts.airflow_home import AirflowHome
from scripts.ports import free_port

#: Seconds after which Airflow takes a task without heartbeat for lost.
HEARTBEAT_TIMEOUT = 20


class Cluster(AirflowHome):
    """An Airflow whose parts are processes of their own.

    :param directory: its home
    :param environment: further settings, the connections among them
    :param dags: folder of the DAGs
    :param server: the Airflow connection to a PostgreSQL server for its metadata
    :param workers: how many there are, each with two task slots
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        dags: Path,
        server: Mapping[str, Any],
        workers: int = 3,
    ) -> None:
        place = f"{server['login']}@{server['host']}:{server['port']}/airflow"
        self._metadata = f"postgresql://{place}"
        with contextlib.closing(psycopg2.connect(self._metadata.replace("/airflow", "/postgres"))) as admin:
            admin.autocommit = True
            admin.cursor().execute("CREATE DATABASE airflow")
        self.port, self._broker_port = free_port(), free_port()
        api = f"http://127.0.0.1:{self.port}"
        settings = {
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__EXECUTION_API_SERVER_URL": f"{api}/execution/",
            "CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "CORE__PARALLELISM": "32",
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "API__BASE_URL": api,
            "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{place}",
            "CELERY__BROKER_URL": f"redis://127.0.0.1:{self._broker_port}/0",
            "CELERY__RESULT_BACKEND": f"db+postgresql://{place}",
            "CELERY__WORKER_CONCURRENCY": "2",
            "CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        }
        super().__init__(
            directory,
            {f"AIRFLOW__{name}": value for name, value in settings.items()} | dict(environment),
            dags,
        )
        self._workers = workers
        self._processes: list[psutil.Popen] = []
        self.workers: list[psutil.Popen] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run all parts until the end of the ``with`` block."""
        self.airflow("db", "migrate")
        try:
            self._start_broker()
            for command in (
                ("api-server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
                ("dag-processor",),
                ("scheduler", "--skip-serve-logs"),
            ):
                self._standalone = self._start(sys.executable, "-m", "airflow", *command)
            self.wait_for_web()  # a task that finds no API server has had an attempt
            for number in range(self._workers):
                # Without the server of logs: all workers would want its port.
                options = ("-H", f"w{number}@%h", "--skip-serve-logs", "-c", "2")
                worker = self._start(sys.executable, "-m", "airflow", "celery", "worker", *options)
                self.workers.append(worker)
            yield
        finally:
            for process in reversed(self._processes):
                _signal(process, signal.SIGKILL)
                process.wait()

    def busiest_worker(self) -> int:
        """Return which worker has most processes, and so most tasks."""
        sizes = [len(worker.children(recursive=True)) for worker in self.workers]
        return sizes.index(max(sizes))

    def signal_worker(self, number: int, kind: signal.Signals) -> None:
        """Send a signal to a worker and all its processes.

        :param number: of the worker
        :param kind: SIGKILL, SIGSTOP or SIGCONT
        """
        _signal(self.workers[number], kind)

    def restart_broker(self, pause: float) -> None:
        """Stop Redis, and start it again with what it had.

        :param pause: seconds in between
        """
        self._broker.terminate()
        self._broker.wait(30)
        time.sleep(pause)
        self._start_broker()

    def _start_broker(self) -> None:
        place = ("--port", str(self._broker_port), "--bind", "127.0.0.1", "--dir", str(self.directory))
        self._broker = self._start("redis-server", *place, "--save", "", "--appendonly", "yes")

    def _start(self, *command: str) -> psutil.Popen:
        with self.log.open("ab") as log:
            process = psutil.Popen(
                command,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _query(self, sql: str, *parameters: str) -> list[Any]:
        with (
            contextlib.closing(psycopg2.connect(self._metadata)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(
                sql.replace("%", "%%").replace("?", "%s") if parameters else sql, parameters or None
            )
            return list(cursor.fetchall())

    def tries(self, dag_id: str, task_id: str) -> list[int]:
        """Return how many attempts each instance of a task has had.

        :param dag_id: the DAG
        :param task_id: the task
        """
        sql = "SELECT try_number FROM task_instance WHERE dag_id = ? AND task_id = ? ORDER BY map_index"
        return [number for (number,) in self._query(sql, dag_id, task_id)]


def _signal(process: psutil.Popen, kind: signal.Signals) -> None:
    """Send a signal to a process and its descendants, the parents first: they could start others."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(kind)
