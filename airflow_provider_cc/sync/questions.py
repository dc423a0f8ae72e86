"""Queries about one account, and how the answers become its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_cc.api import directory as api_directory
from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.directory import UnreadableLine
from airflow_provider_cc.api.management import AgentInfo, AgentLoginParams, DirectoryAgent
from airflow_provider_cc.exceptions import CCBusinessError, CCResponseError, ErrorCode
from airflow_provider_cc.hooks.lockout import Credential, Lockout
from airflow_provider_cc.hooks.transport import BulkClient
from airflow_provider_cc.sync.columns import Column, Reading
from airflow_provider_cc.sync.spool import UNSETTLED, Spool


def reading_for(columns: Sequence[Column], from_directory: bool, softphones: str) -> Reading:
    """Return which columns a source returns, and how.

    :param columns: all columns of the table
    :param from_directory: whether the source is the directory instead of a list
    :param softphones: "directory", "login_params" or "none"
    """
    by_login = [AgentLoginParams] if softphones == "login_params" else []
    if from_directory:
        left_out = ["softphone_number"] if softphones == "none" else []
        return Reading(columns, [*by_login, DirectoryAgent], left_out)
    listed = [DirectoryAgent] if softphones == "directory" else []
    return Reading(columns, [AgentInfo, *by_login, *listed])


@dataclass(repr=False)
class Questions:
    """Queries accounts, and returns the values of their rows.

    Every method raises a :class:`~airflow_provider_cc.exceptions.CCError` if there is no valid answer.

    :param client: client of the contact center
    :param spool: contains the directory entries that were read
    :param reading: reads answers into columns, see :func:`reading_for`
    :param softphones: "directory", "login_params" or "none"
    :param passwords: account → password, for login parameters
    :param lockout: rejected credentials of the contact center, loaded
    """

    client: BulkClient
    spool: Spool
    reading: Reading
    softphones: str
    passwords: Mapping[str, str]
    lockout: Lockout

    async def known(self, account: str) -> tuple[Any, ...]:
        """Return the values for an account of a list."""
        info = await self.client.call(api.query_agent_info(account))
        if self.softphones == "directory":
            return self.reading.values((info, await self._line(account)))
        if self.softphones == "login_params":
            return self.reading.values((info, await self._login_params(account)))
        return self.reading.values((info,))

    async def listed(self, account: str) -> tuple[Any, ...] | None:
        """Return the values for an account of the directory; ``None`` if it is not an agent."""
        return await self.of_line(await self._line(account))

    async def _line(self, account: str) -> DirectoryAgent:
        """Return an account's entry; if it was not read, or is ambiguous, query the account individually."""
        kept = self.spool.line(account)
        if kept:
            line = api_directory.unpack(account, kept)
            if isinstance(line, UnreadableLine):
                raise line.error
            return line
        found = await self.client.call(api_directory.query_account(account))
        if found:
            return api_directory.only_line(found)
        if kept == UNSETTLED:
            text = "the directory lists the account with different values, but not when queried for it"
            raise CCResponseError(api.DIRECTORY.name, ErrorCode.AMBIGUOUS, text)
        return DirectoryAgent(account, None, None, None)

    async def of_line(self, line: DirectoryAgent) -> tuple[Any, ...] | None:
        """Return the values for an account whose entry is known; ``None`` if it is not an agent.

        :param line: directory entry
        """
        if line.agent_type == api_directory.NO_AGENT_TYPE:
            return None
        if line.agent_id is None:  # inconclusive: the field is optional
            try:
                info = await self.client.call(api.query_agent_info(line.account))
            except CCBusinessError as error:
                if error.code == ErrorCode.NO_AGENT:
                    return None
                raise
            kind = info.agent_type if line.agent_type is None else line.agent_type
            line = DirectoryAgent(line.account, info.agent_id, kind, line.softphone_number)
        if self.softphones == "login_params":
            return self.reading.values((await self._login_params(line.account), line))
        return self.reading.values((line,))

    async def _login_params(self, account: str) -> AgentLoginParams:
        """Query an account's softphone with the account's own password."""
        name = api.LOGIN_PARAMS.name
        password = self.passwords.get(account)
        if not password:
            raise CCBusinessError(name, ErrorCode.NO_PASSWORD, "no password is configured for this account")
        try:
            call = api.query_agent_login_params(account, password)
        except ValueError as error:
            raise CCBusinessError(name, ErrorCode.BAD_PASSWORD, str(error)) from None
        credential = Credential("account", account, (password,))
        blocked = self.lockout.blocked(credential)
        if blocked is not None:
            raise CCBusinessError(name, ErrorCode.BLOCKED, blocked)
        try:
            params = await self.client.call(call)
        except CCBusinessError as error:
            if api.rejects_password(error):
                self.lockout.reject(credential, error)
            raise
        self.lockout.accept(credential)
        return params
