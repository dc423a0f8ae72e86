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
from airflow_provider_cc.triggers.events import failure
from airflow_provider_cc.triggers.poll import AgentPoll

log = logging.getLogger(__name__)


class CCAgentTrigger(BaseTrigger):
    """Polls until an account is an agent, then fires one event and ends.

    The event is ``{"agent": …}``, with ``None`` after a time-out. After a failure it is the event of
    :func:`airflow_provider_cc.triggers.events.failure`. The trigger itself never fails, so that the task can
    raise the right exception: a rejected credential must not be retried.

    Its arguments are its whole state. In another triggerer it continues after one more sign-in.

    :param account_code: sign-in account, at most 64 characters
    :param agent_status: the status that the agent must have; ``None`` for any
    :param cc_conn_id: connection of type ``cc_management``
    :param poke_interval: seconds between an answer and the next query
    :param max_unanswered: maximum number of consecutive queries without an answer
    :param ends_at: time of the last query, in UTC
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
        """Return what another triggerer needs to continue. It contains no secret."""
        names = ("account_code", "agent_status", "cc_conn_id", "poke_interval", "max_unanswered", "ends_at")
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, close all connections, and fire. Canceling the trigger closes them, too."""
        yield TriggerEvent(await self._event())  # type: ignore[no-untyped-call]

    async def _event(self) -> dict[str, Any]:
        try:
            return {"agent": await self._agent()}
        except CCError as error:
            return failure(error)
        except AirflowNotFoundException:
            return failure(CCConfigError(f"connection {self.cc_conn_id!r} is not defined in the triggerer"))
        except Exception as error:
            log.exception("Waiting for account %r failed.", self.account_code)
            # Its text may contain secrets, and events are stored in the metadata database.
            return failure(CCError(f"the trigger failed: {type(error).__name__}; see the trigger's log"))

    @without_locals
    async def _agent(self) -> dict[str, Any] | None:
        poll = AgentPoll(self.account_code, self.agent_status, self.max_unanswered)
        async with await in_thread(CCManagementHook(self.cc_conn_id).bulk)() as client:
            while True:
                # Sleep first, because the worker has just queried. Also, Airflow considers a task failed that
                # resumes before its executor has reported the deferral.
                await asyncio.sleep(max(0, min(self.poke_interval, self._left())))
                agent = await poll.once(client)
                if agent is not None or self._left() <= 0:
                    return agent

    def _left(self) -> float:
        return (self.ends_at - datetime.now(UTC)).total_seconds()
