"""Query whether an account is an agent: the same for the sensor's poke and the trigger."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.directory import query_account
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


class AgentPoll:
    """Queries whether an account is an agent, and counts consecutive queries without an answer.

    :param account_code: sign-in account, at most 64 characters
    :param agent_status: the status that the agent must have; ``None`` for any
    :param max_unanswered: maximum number of consecutive queries without an answer
    """

    def __init__(self, account_code: str, agent_status: str | None, max_unanswered: int) -> None:
        self._account = account_code
        self._status = None if agent_status is None else str(agent_status)
        self._max_unanswered = max_unanswered
        self._unanswered = 0

    async def once(self, client: BulkClient) -> dict[str, Any] | None:
        """Return the agent as a dict, or ``None`` if there is no agent or it has another status.

        :param client: client of the contact center
        :raises ValueError: the manual does not allow this account code
        :raises CCTransientError: no answer, more than ``max_unanswered`` times in a row
        :raises CCError: any other failure, as in ``CCManagementHook.query_agent_info``
        """
        try:
            agent = await self._agent(client)
        except CCTransientError as error:
            self._count_unanswered(error)
            return None
        self._unanswered = 0
        if agent is None:
            log.info("Account %r is not an agent yet.", self._account)
            return None
        if self._status is not None and agent.agent_status != self._status:
            log.info(
                "Account %r is agent %d, with status %r.", self._account, agent.agent_id, agent.agent_status
            )
            return None
        # Converted to JSON and back, so that it equals the value that XCom returns.
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
        """Query the directory whether an account does not exist: no code of the account query says so."""
        try:
            return await client.call(query_account(self._account)) == []
        except (CCAuthError, CCBusinessError, CCResponseError):
            return False  # unknown, so the error of the account query stands

    def _count_unanswered(self, error: CCTransientError) -> None:
        self._unanswered += 1
        # It is unknown whether the credential arrived, so it is not sent again before Airflow's own retry.
        undecided = isinstance(error, CCSignInUnavailable) and error.code not in NOTHING_SENT
        if undecided or self._unanswered > self._max_unanswered:
            raise error
        log.warning(
            "No answer (%s), %d time(s) in a row, at most %d allowed. Retrying at the next poke.",
            error,
            self._unanswered,
            self._max_unanswered,
        )
