"""What the two sources of a run share: the client, the writer, the books, and when to give up."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.management import AgentLoginParams, DirectoryAgent
from airflow_provider_cc.compat import in_thread
from airflow_provider_cc.exceptions import (
    NOTHING_SENT,
    CCAuthError,
    CCBusinessError,
    CCError,
    CCPermissionError,
    CCResponseError,
    CCSessionRefused,
    CCSignInUnavailable,
    CCTransientError,
    ErrorCode,
)
from airflow_provider_cc.hooks.lockout import Credential, Lockout
from airflow_provider_cc.hooks.transport import BulkClient
from airflow_provider_cc.transfers.counts import Counts
from airflow_provider_cc.transfers.difference import Chunk, Reject
from airflow_provider_cc.transfers.reading import Reading
from airflow_provider_cc.transfers.spool import Spool
from airflow_provider_cc.transfers.warehouse import Warehouse
from airflow_provider_cc.transfers.writer import ChunkWriter

log = logging.getLogger(__name__)

#: So many transient failures among the last calls say that the server is gone, and end the run.
MAX_FAILURES, RECENT_CALLS = 50, 1000
#: So many in a row say so, too, if no more are under way at once; otherwise, as many as are.
MAX_IN_A_ROW = 10

#: What is the fault of one account; everything else ends the run.
ROW_ERRORS = (CCBusinessError, CCResponseError, CCTransientError, CCSessionRefused)

#: After so many refused calls, if none has worked, the credential and not the account is refused.
MAX_REFUSED = 20


@dataclass
class Run:
    """One try of one run.

    :param client: asks the contact centre
    :param warehouse: the database
    :param spool: knows the accounts
    :param counts: the books
    :param reading: reads answers into columns
    :param chunk_size: accounts in a transaction
    :param concurrency: requests under way at once
    :param max_rejects: number of rejects, or share of all accounts if a float, beyond which the run fails
    :param passwords: account → password, if login parameters are wanted
    :param lockout: knows which of them are blocked
    :param close_missing: whether the rows of accounts that the directory no longer knows are closed
    :param sign_ins: tells how many sign-ins there have been
    """

    client: BulkClient
    warehouse: Warehouse
    spool: Spool
    counts: Counts
    reading: Reading
    chunk_size: int
    concurrency: int
    max_rejects: float
    passwords: Mapping[str, str] | None = field(repr=False)
    lockout: Lockout = field(repr=False)
    close_missing: bool
    sign_ins: Callable[[], int]

    def __post_init__(self) -> None:
        self.writer = ChunkWriter(
            self.warehouse, self.counts, self.chunk_size, self.max_rejects, self._spent, self._look_closer
        )
        self._calls = 0
        self._failures: deque[int] = deque()
        self._in_a_row = 0
        self._worked = False
        #: Calls that were refused (401, 403) before any had worked, and the last refusal.
        self._refused = 0
        self.refusal: CCSessionRefused | None = None

    async def handle(self, account: str, ask: Coroutine[Any, Any, tuple[Any, ...]]) -> None:
        """Await the answers about an account, and write its row or its reject.

        :param account: sign-in account
        :param ask: yields one answer of each kind
        :raises CCError: a failure that is not this account's
        """
        self._calls += 1
        try:
            answers = await ask
        except ROW_ERRORS as error:
            self._bear(error)
            declined = (
                isinstance(error, CCBusinessError)
                and not isinstance(error, CCPermissionError)
                and error.endpoint == api.AGENT_INFO.name
            )
            await self.writer.reject(Reject(account, error.endpoint, error.code, error.text, declined))
        else:
            self._in_a_row, self._worked = 0, True
            await self.writer.row(account, self.reading.values(answers))

    async def login_params(self, account: str) -> AgentLoginParams:
        """Ask for an account's softphone with the account's own password.

        :param account: sign-in account
        """
        password = (self.passwords or {}).get(account)
        if not password:
            raise CCBusinessError(
                api.LOGIN_PARAMS.name, ErrorCode.NO_PASSWORD, "no password is known for this account"
            )
        try:
            call = api.query_agent_login_params(account, password)
        except ValueError as error:
            raise CCBusinessError(api.LOGIN_PARAMS.name, ErrorCode.BAD_PASSWORD, str(error)) from None
        credential = Credential("account", account, (password,))
        blocked = self.lockout.blocked(credential)
        if blocked is not None:
            raise CCBusinessError(api.LOGIN_PARAMS.name, ErrorCode.BLOCKED, blocked)
        try:
            params = await self.client.call(call)
        except CCBusinessError as error:
            if api.rejects_password(error):
                self.lockout.reject(credential, error)
            raise
        self.lockout.accept(credential)
        return params

    async def look_up(self, account: str) -> list[DirectoryAgent] | None:
        """Ask the directory for a single account.

        :param account: sign-in account
        :return: its line; nothing in the list if there is none, ``None`` if the directory cannot say
        """
        self._calls += 1
        try:
            found = await self.client.call(api.query_directory_account(account))
        except CCPermissionError:
            # Perhaps of this account only, perhaps the app key is not entitled to this interface.
            log.warning("Directory lookup was denied; no agents will be deactivated in this run.")
            self.close_missing = False
            return None
        except ROW_ERRORS as error:
            self._bear(error)
            return None
        self._in_a_row = 0
        return found

    async def is_gone(self, account: str) -> bool:
        """Ask the directory for a single account; only its own word that there is none counts.

        :param account: sign-in account
        """
        return await self.look_up(account) == []

    async def all(self, coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run coroutines side by side; the first failure ends them all and is raised as it is."""
        try:
            async with asyncio.TaskGroup() as group:
                for coroutine in coroutines:
                    group.create_task(coroutine)
        except BaseExceptionGroup as failures:
            first = failures.exceptions[0]
            # A refused credential explains the rest.
            raise next(
                (error for error in failures.exceptions if isinstance(error, CCAuthError)), first
            ) from None

    def _bear(self, error: CCError) -> None:
        """Bear with a call that failed, unless the server and not the call is the reason."""
        if isinstance(error, CCSessionRefused):
            self.refusal = error
            self._refused += 1
            if not self._worked and self._refused >= MAX_REFUSED:
                raise error
        elif isinstance(error, CCBusinessError) and error.status is None:
            self._worked = True
        if not isinstance(error, CCTransientError):  # an answer, too
            self._in_a_row = 0
            return
        if isinstance(error, CCSignInUnavailable) or error.code in (ErrorCode.TLS, *NOTHING_SENT):
            raise error
        self._in_a_row += 1
        self._failures.append(self._calls)
        while self._failures[0] <= self._calls - RECENT_CALLS:
            self._failures.popleft()
        if len(self._failures) > MAX_FAILURES:
            said = f"more than {MAX_FAILURES} of the last {RECENT_CALLS} calls failed"
        elif self._in_a_row >= max(MAX_IN_A_ROW, self.concurrency):
            said = f"{self._in_a_row} calls in a row failed, after all their tries"
        else:
            return
        raise CCTransientError(
            error.endpoint, error.code, "; the last: ".join(filter(None, (said, error.text)))
        )

    def _spent(self) -> Counts:
        return Counts(requests=self.client.requests, sign_ins=self.sign_ins())

    async def _look_closer(self, chunk: Chunk) -> None:
        if self.passwords is not None:
            await in_thread(self.lockout.save)()
        await self._look_for_gone(chunk)

    async def _look_for_gone(self, chunk: Chunk) -> None:
        """Find out which declined accounts are gone: an active row, and the directory does not know it."""
        declined = [reject.account for reject in chunk.rejects if reject.declined]
        if not declined or not self.close_missing:
            return
        known = await asyncio.to_thread(self.warehouse.active_among, declined)
        places = iter([place for place, reject in enumerate(chunk.rejects) if reject.account in known])

        async def worker() -> None:
            for place in places:
                reject = chunk.rejects[place]
                if self.close_missing and await self.is_gone(reject.account):
                    chunk.gone.append(reject.account)
                    text = "the directory no longer knows the account: its row is closed"
                    chunk.rejects[place] = Reject(
                        reject.account, api.DIRECTORY.name, ErrorCode.NO_AGENT, text
                    )

        await self.all(worker() for _ in range(self.concurrency))


def too_few(listed: int, least: float) -> CCError:
    """Return the error that stops a run whose directory is suspiciously short.

    :param listed: how many accounts the directory lists
    :param least: how many it should
    """
    return CCError(
        f"the directory lists {listed} accounts, min_snapshot_ratio asks for {least:.0f} at least: "
        "nothing is deactivated. If that many are really gone, lower min_snapshot_ratio for one run"
    )
