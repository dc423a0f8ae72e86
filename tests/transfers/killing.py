"""Tries of a run in processes of their own, killed at a chosen moment: no test waits for one to come."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, Literal
from unittest import mock

import sqlalchemy as sa

from airflow_provider_cc.sync.answers import GONE
from airflow_provider_cc.sync.apply import Application
from airflow_provider_cc.sync.stage import Staging
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

#: Seconds within which a try of a few hundred accounts must end.
_PATIENCE = 60


@dataclass(frozen=True)
class Moment:
    """When a process kills itself, or does something else.

    :param at: before a transaction, after its first change of a table, when all is written and nothing
        committed, or when the commit is through
    :param number: in which of the transactions that count
    :param of: which ones count: those that stage a chunk, those that stage accounts which are gone, the one
        that applies the run
    :param table: after whose first change, if that is when
    """

    at: Literal["before", "flush", "commit", "after"]
    number: int = 1
    of: Literal["chunk", "closing", "apply"] = "chunk"
    table: str = "cc_agent"

    def arm(self, action: Callable[[], object] | None = None) -> Callable[[], None]:
        """Have the process kill itself then, or do something else, once.

        :param action: what else
        :return: takes it back
        """
        kind, method = (Application, "apply") if self.of == "apply" else (Staging, "append")
        original = getattr(kind, method)
        seen, now = 0, False

        def act() -> None:
            nonlocal now
            now = False
            (action or _die)()

        def guarded(worker: Any, *arguments: Any) -> Any:
            nonlocal seen, now
            seen += self.of != "closing" or any(answer.outcome == GONE for answer in arguments[0])
            now = seen == self.number
            if now and self.at == "before":
                act()
            result = original(worker, *arguments)
            if now and self.at == "after":
                act()
            now = False
            return result

        def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            changed = re.match(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)", statement)
            # Copying is not executed by SQLAlchemy, but what follows it is: that the ledger is told of it.
            tables = (self.table,) if self.of == "apply" else ("cc_agent_stage", "cc_sync_run")
            if (
                now
                and self.at == "flush"
                and changed
                and changed[1] in tables
                and "SET tries" not in statement
            ):
                act()

        def commits(connection: Any) -> None:
            if now and self.at == "commit":
                act()

        def disarm() -> None:
            setattr(kind, method, original)
            sa.event.remove(sa.engine.Engine, "after_cursor_execute", executed)
            sa.event.remove(sa.engine.Engine, "commit", commits)

        setattr(kind, method, guarded)
        sa.event.listen(sa.engine.Engine, "after_cursor_execute", executed)
        sa.event.listen(sa.engine.Engine, "commit", commits)
        return disarm


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Tries:
    """Starts tries; each is a process with nothing in common with the next but the database.

    :param environment: where the contact center and the database are
    """

    # A server that has imported everything forks them: none has to start from nothing.
    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(["tests.transfers.preloaded"])

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def run(self, run_id: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Let a try come to its end, and return the counts.

        :param run_id: of the DAG run
        :param arguments: of the operator
        """
        code, said = self._try(run_id, arguments)
        assert code == 0, said
        return said

    def killed_after(
        self, seconds: float, run_id: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Kill a try by SIGKILL after some seconds; return the counts if it has ended before.

        :param seconds: from the start of its process
        :param run_id: of the DAG run
        :param arguments: of the operator
        """
        code, said = self._try(run_id, arguments, patience=seconds)
        assert code in (0, -signal.SIGKILL), said
        return said if code == 0 else None

    def killed(self, run_id: str, arguments: Mapping[str, Any], moment: Moment) -> None:
        """Have a try die by SIGKILL.

        :param run_id: of the DAG run
        :param arguments: of the operator
        :param moment: when
        """
        code, said = self._try(run_id, arguments, moment)
        assert code == -signal.SIGKILL, said

    def _try(
        self,
        run_id: str,
        arguments: Mapping[str, Any],
        moment: Moment | None = None,
        patience: float = _PATIENCE,
    ) -> tuple[int, Any]:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_task, args=(theirs, self._environment, run_id, dict(arguments), moment)
        )
        # The server, which the first start starts, imports from where this process does.
        with mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}):
            process.start()
        theirs.close()
        try:
            if ours.poll(patience):
                said = ours.recv()
            else:
                process.kill()
                said = "no end in sight"
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
