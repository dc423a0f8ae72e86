"""Tries of a run in processes of their own, killed at a chosen moment: no test waits for one to come."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, Literal

import sqlalchemy as sa

from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from airflow_provider_cc.transfers.warehouse import Warehouse

#: Seconds within which a try of a few hundred accounts must end.
_PATIENCE = 60


@dataclass(frozen=True)
class Moment:
    """When a process kills itself.

    :param at: before a transaction, after its first change of the agents, when all is written and nothing
        committed, or when the commit is through
    :param number: in which of the transactions that count
    :param of: which ones count: those that write a chunk, those that close rows, the last of the run
    """

    at: Literal["before", "flush", "commit", "after"]
    number: int = 1
    of: Literal["chunk", "closing", "finish"] = "chunk"

    def arm(self) -> None:
        """Have the process kill itself then."""
        method = "finish" if self.of == "finish" else "write"
        original = getattr(Warehouse, method)
        seen, now = 0, False

        def guarded(warehouse: Warehouse, *arguments: Any) -> Any:
            nonlocal seen, now
            seen += self.of != "closing" or bool(arguments[0].gone)
            now = seen == self.number
            if now and self.at == "before":
                _die()
            result = original(warehouse, *arguments)
            if now and self.at == "after":
                _die()
            now = False
            return result

        def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            changes = not statement.lstrip().upper().startswith("SELECT")
            if now and self.at == "flush" and changes and re.search(r"\bcc_agent\b", statement):
                _die()

        def commits(connection: Any) -> None:
            if now and self.at == "commit":
                _die()

        setattr(Warehouse, method, guarded)
        sa.event.listen(sa.engine.Engine, "after_cursor_execute", executed)
        sa.event.listen(sa.engine.Engine, "commit", commits)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Tries:
    """Starts tries; each is a process with nothing in common with the next but the database.

    :param environment: where the contact centre and the database are
    """

    # A server that has imported everything forks them: none has to start from nothing.
    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(
        [
            "airflow_provider_cc.transfers.agents_to_sql",
            "airflow.providers.postgres.hooks.postgres",
            "airflow.providers.sqlite.hooks.sqlite",
        ]
    )

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def run(self, run_id: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Let a try come to its end, and return the counts.

        :param run_id: of the DAG run
        :param arguments: of the operator
        """
        code, said = self._try(run_id, arguments, None)
        assert code == 0, said
        return said

    def killed(self, run_id: str, arguments: Mapping[str, Any], moment: Moment) -> None:
        """Have a try die by SIGKILL.

        :param run_id: of the DAG run
        :param arguments: of the operator
        :param moment: when
        """
        code, said = self._try(run_id, arguments, moment)
        assert code == -signal.SIGKILL, said

    def _try(self, run_id: str, arguments: Mapping[str, Any], moment: Moment | None) -> tuple[int, Any]:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_task, args=(theirs, self._environment, run_id, dict(arguments), moment)
        )
        process.start()
        theirs.close()
        try:
            said = ours.recv() if ours.poll(_PATIENCE) else "no end in sight"
        except EOFError:
            said = "died without a word"
        process.join(_PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
        return process.exitcode or 0, said


def _task(
    pipe: Connection,
    environment: dict[str, str],
    run_id: str,
    arguments: dict[str, Any],
    moment: Moment | None,
) -> None:
    os.environ |= environment
    if moment is not None:
        moment.arm()
    operator = CCAgentsToSqlOperator(task_id="sync", sql_conn_id="warehouse", **arguments)
    try:
        pipe.send(operator.execute({"ti": SimpleNamespace(run_id=run_id, map_index=-1)}))
    except BaseException as error:
        pipe.send(repr(error))
        raise
