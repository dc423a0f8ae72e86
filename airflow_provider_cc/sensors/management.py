"""The sensor for CC-Management."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import AirflowSensorTimeout, PokeReturnValue, conf
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.sensors.base import BaseSensor
from airflow_provider_cc.triggers.events import failure_of
from airflow_provider_cc.triggers.management import CCAgentTrigger
from airflow_provider_cc.triggers.poll import AgentPoll

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context, XComArg

#: The trigger times out by itself. If no triggerer runs, Airflow ends the wait this much later.
GRACE = timedelta(minutes=5)


class CCAgentSensor(BaseSensor):
    """Waits until an account is an agent.

    Manual: CC-Management, "Querying Agent Information by Sign-in Account" (queryAgentInfoByAccount).

    Returns a dict with ``account``, ``agent_id``, ``agent_type`` and ``agent_status``, as
    :class:`airflow_provider_cc.operators.management.CCQueryAgentInfoOperator` does for each account.

    :param account_code: sign-in account, at most 64 characters (templated)
    :param agent_status: also wait until the agent has this status (templated)
    :param cc_conn_id: connection of type ``cc_management`` (templated)
    :param max_unanswered: maximum number of consecutive pokes without an answer. In reschedule mode, pokes
        cannot be counted, so the first one without an answer fails the attempt
    :param deferrable: wait in the triggerer
    """

    template_fields: Sequence[str] = ("account_code", "agent_status", "cc_conn_id")

    def __init__(
        self,
        *,
        account_code: str | XComArg,
        agent_status: str | XComArg | None = None,
        cc_conn_id: str = CCManagementHook.default_conn_name,
        max_unanswered: int = 5,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.account_code: Any = account_code
        self.agent_status: Any = agent_status
        self.cc_conn_id = cc_conn_id
        self.max_unanswered = max_unanswered
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> CCManagementHook:
        """The hook, with one session for all pokes of a process."""
        return CCManagementHook(self.cc_conn_id)

    @cached_property
    def _poll(self) -> AgentPoll:
        max_unanswered = 0 if self.reschedule and not self.deferrable else self.max_unanswered
        return AgentPoll(self.account_code, self.agent_status, max_unanswered)

    @without_locals
    def poke(self, context: Context) -> PokeReturnValue:
        """Query once. If there is no agent yet and the sensor is deferrable, defer to the trigger.

        :raises ValueError: the manual does not allow this account code
        :raises CCError: a failure that waiting cannot fix
        """
        agent = asyncio.run(self._query())
        if agent is None and self.deferrable:
            # Deferred here, so that a failure of the first query is handled as in the other modes.
            self._defer()
        return PokeReturnValue(agent is not None, agent)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the trigger's result.

        :raises AirflowSensorTimeout: the wait timed out
        :raises CCError: the failure of the trigger
        """
        error = failure_of(event)
        if error is not None:
            raise error
        agent: dict[str, Any] | None = event["agent"]
        if agent is None:
            raise AirflowSensorTimeout(
                f"Account {self.account_code!r} did not become an agent within {self.timeout:g} s."
            )
        return agent

    async def _query(self) -> dict[str, Any] | None:
        async with self.hook.bulk() as client:
            return await self._poll.once(client)

    def _defer(self) -> None:
        timeout = timedelta(seconds=self.timeout)
        trigger = CCAgentTrigger(
            account_code=self.account_code,
            agent_status=self.agent_status,
            cc_conn_id=self.cc_conn_id,
            poke_interval=self.poke_interval,
            max_unanswered=self.max_unanswered,
            ends_at=datetime.now(UTC) + timeout,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timeout + GRACE)
