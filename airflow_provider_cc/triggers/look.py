"""One look for an agent: the same in a poke and in the trigger."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from airflow_provider_cc.api import management as api
from airflow_provider_cc.exceptions import (
    NOTHING_SENT,
    CCAuthError,
    CCBusinessError,
    CCResponseError,
    CCSignInUnavailable,
    CCTransientError,
    ErrorCode,
)
from airflow_provider_cc.hooks.transport import BulkClient

log = logging.getLogger(__name__)


class AgentLook:
    """Looks whether an account resolves to an agent, as often as it is asked to.

    :param account_code: sign-in account, at most 64 characters
    :param agent_status: the status that the agent must have; ``None``: any
    :param max_unanswered: how many looks in a row may stay without an answer
    """

    def __init__(self, account_code: str, agent_status: str | None, max_unanswered: int) -> None:
        self._account = account_code
        self._status = None if agent_status is None else str(agent_status)
        self._max_unanswered = max_unanswered
        self._unanswered = 0

    async def once(self, client: BulkClient) -> dict[str, Any] | None:
        """Return the agent as a dict, or ``None`` while it is not there or has another status.

        :param client: asks the contact centre
        :raises ValueError: an account code that the manual does not allow
        :raises CCTransientError: no answer, once more than may be
        :raises CCError: any other failure, as ``CCManagementHook.query_agent_info``
        """
        try:
            agent = await self._agent(client)
        except CCTransientError as error:
            self._bear(error)
            return None
        self._unanswered = 0
        if agent is None:
            log.info("Account %r is no agent yet.", self._account)
            return None
        if self._status is not None and agent.agent_status != self._status:
            log.info(
                "Account %r is agent %d, with status %r.", self._account, agent.agent_id, agent.agent_status
            )
            return None
        # By way of JSON, as XCom keeps it: it looks the same before and after.
        row: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(agent))
        return row

    async def _agent(self, client: BulkClient) -> api.AgentInfo | None:
        try:
            return await client.call(api.query_agent_info(self._account))
        except CCBusinessError as error:
            if error.code != ErrorCode.NO_AGENT and not await self._is_unlisted(client):
                raise
            return None

    async def _is_unlisted(self, client: BulkClient) -> bool:
        """Ask the directory whether a declined account is one that does not exist: no code says so."""
        try:
            return await client.call(api.query_directory_account(self._account)) == []
        except (CCAuthError, CCBusinessError, CCResponseError):
            return False  # it cannot say, so the account query's own answer stands

    def _bear(self, error: CCTransientError) -> None:
        self._unanswered += 1
        # Nobody knows what became of the credential, so it is not sent again before Airflow's own retry.
        undecided = isinstance(error, CCSignInUnavailable) and error.code not in NOTHING_SENT
        if undecided or self._unanswered > self._max_unanswered:
            raise error
        log.warning(
            "No answer (%s). Asking again at the next poke: %d in a row, %d are borne.",
            error,
            self._unanswered,
            self._max_unanswered,
        )
