"""The trigger that waits for an agent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import AirflowNotFoundException, in_thread
from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.triggers.look import AgentLook
from airflow_provider_cc.triggers.outcome import failure

log = logging.getLogger(__name__)


class CCAgentTrigger(BaseTrigger):
    """Asks until an account resolves to an agent, then fires one event and ends.

    The event is ``{"agent": …}``, ``None`` in it if the time is over; or, for whatever failure, that of
    :func:`airflow_provider_cc.triggers.outcome.failure`. It never fails by itself, so that the task raises
    the right exception: after a refused credential no retry follows.

    All of its state is in its arguments: in another triggerer it goes on, after one more sign-in.

    :param account_code: sign-in account, at most 64 characters
    :param agent_status: the status that the agent must have; ``None``: any
    :param cc_conn_id: connection of type ``cc_management``
    :param poke_interval: seconds between an answer and the next question
    :param max_unanswered: how many questions in a row may stay without an answer
    :param ends_at: when to ask for the last time, in UTC
    """

    def __init__(
        self,
        *,
        account_code: str,
        agent_status: str | None,
        cc_conn_id: str,
        poke_interval: float,
        max_unanswered: int,
        ends_at: datetime,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.account_code = account_code
        self.agent_status = agent_status
        self.cc_conn_id = cc_conn_id
        self.poke_interval = poke_interval
        self.max_unanswered = max_unanswered
        self.ends_at = ends_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what it takes to go on in another triggerer; no secret is in it."""
        names = ("account_code", "agent_status", "cc_conn_id", "poke_interval", "max_unanswered", "ends_at")
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire. By then all connections are closed, as they are when the triggerer cancels it."""
        yield TriggerEvent(await self._event())  # type: ignore[no-untyped-call]

    async def _event(self) -> dict[str, Any]:
        try:
            return {"agent": await self._agent()}
        except CCError as error:
            return failure(error)
        except AirflowNotFoundException:
            return failure(CCConfigError(f"connection {self.cc_conn_id!r} is not known to the triggerer"))
        except Exception as error:
            log.exception("The wait for account %r ended.", self.account_code)
            # Its text may hold anything, and an event is kept in the metadata database.
            return failure(CCError(f"the trigger failed: {type(error).__name__}, see its log"))

    @without_locals
    async def _agent(self) -> dict[str, Any] | None:
        look = AgentLook(self.account_code, self.agent_status, self.max_unanswered)
        async with await in_thread(CCManagementHook(self.cc_conn_id).bulk)() as client:
            while True:
                # First this: the worker has just asked. And a task that comes back while its executor has
                # not yet reported that it had been deferred, Airflow takes for a failed one.
                await asyncio.sleep(max(0, min(self.poke_interval, self._left())))
                agent = await look.once(client)
                if agent is not None or self._left() <= 0:
                    return agent

    def _left(self) -> float:
        return (self.ends_at - datetime.now(UTC)).total_seconds()
