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
from airflow_provider_cc.triggers.look import AgentLook
from airflow_provider_cc.triggers.management import CCAgentTrigger
from airflow_provider_cc.triggers.outcome import failure_of

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context, XComArg

#: The trigger ends a wait by itself. Where none runs, Airflow does, so much later.
GRACE = timedelta(minutes=5)


class CCAgentSensor(BaseSensor):
    """Waits until an account resolves to an agent.

    Manual: CC-Management, "Querying Agent Information by Sign-in Account" (queryAgentInfoByAccount).

    Returns a dict with ``account``, ``agent_id``, ``agent_type`` and ``agent_status``, as
    :class:`airflow_provider_cc.operators.management.CCQueryAgentInfoOperator` does for each account.

    :param account_code: sign-in account, at most 64 characters (templated)
    :param agent_status: wait until the agent has this status, too (templated)
    :param cc_conn_id: connection of type ``cc_management`` (templated)
    :param max_unanswered: how many pokes in a row may stay without an answer before the try fails; in
        reschedule mode, where a poke knows nothing of the last one, none may
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
    def _look(self) -> AgentLook:
        borne = 0 if self.reschedule and not self.deferrable else self.max_unanswered
        return AgentLook(self.account_code, self.agent_status, borne)

    @without_locals
    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once; if the agent is not there, and the sensor is deferrable, leave the rest to the trigger.

        :raises ValueError: an account code that the manual does not allow
        :raises CCError: a failure that waiting does not mend
        """
        agent = asyncio.run(self._ask())
        if agent is None and self.deferrable:
            # In here, so that a first look that fails is treated as in the other modes.
            self._defer()
        return PokeReturnValue(agent is not None, agent)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take up what the trigger has found.

        :raises AirflowSensorTimeout: in vain
        :raises CCError: the failure that it met
        """
        error = failure_of(event)
        if error is not None:
            raise error
        agent: dict[str, Any] | None = event["agent"]
        if agent is None:
            raise AirflowSensorTimeout(
                f"Account {self.account_code!r} has not become an agent within {self.timeout:g} s."
            )
        return agent

    async def _ask(self) -> dict[str, Any] | None:
        async with self.hook.bulk() as client:
            return await self._look.once(client)

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
