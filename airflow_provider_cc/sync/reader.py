"""Queries the contact center for every account, and handles failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from airflow_provider_cc.api import directory as api_directory
from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.directory import Found, Line, UnreadableLine
from airflow_provider_cc.api.management import DirectoryAgent
from airflow_provider_cc.compat import in_thread
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCError,
    CCPermissionError,
    ErrorCode,
)
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.hooks.transport import BulkClient
from airflow_provider_cc.sync import metrics
from airflow_provider_cc.sync import spool as states
from airflow_provider_cc.sync.answers import GONE, REJECT, ROW, Answer
from airflow_provider_cc.sync.batches import Batches
from airflow_provider_cc.sync.columns import Reading
from airflow_provider_cc.sync.counts import SPENT, Counts
from airflow_provider_cc.sync.failures import ACCOUNT_ERRORS, Failures
from airflow_provider_cc.sync.pages import Pages
from airflow_provider_cc.sync.questions import Questions
from airflow_provider_cc.sync.spool import Spool, batches
from airflow_provider_cc.sync.stage import Staging
from airflow_provider_cc.sync.tally import Tally, judge

log = logging.getLogger(__name__)

#: After this many rejected directory lookups, if none has succeeded, no more are sent.
MAX_DENIED = 10
#: The endpoint in rejects of codes that could not be queried.
ACCOUNT_CODE = "account_code"


@dataclass
class Reader:
    """One attempt to read a run's accounts.

    :param hook: hook of the contact center
    :param staging: where answers are staged
    :param spool: an open spool with the source's codes
    :param reading: reads answers into columns, see :func:`~airflow_provider_cc.sync.questions.reading_for`
    :param from_directory: whether the source is the directory instead of a list
    :param softphones: "directory", "login_params" or "none"
    :param passwords: account → password, for login parameters
    :param chunk_size: answers per batch
    :param max_rejects: number of rejects, or share of all accounts if a float, above which the run fails
    :param close_missing: whether to look for accounts that the contact center no longer lists
    :param min_snapshot_ratio: minimum share of the active rows that must stay active
    :param mine: if other tasks read the rest of the accounts: returns whether an account is this task's. The
        spool then has the accounts' directory entries, and the last task checks the limits of the run
    """

    hook: CCManagementHook
    staging: Staging
    spool: Spool
    reading: Reading
    from_directory: bool
    softphones: str = "directory"
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    chunk_size: int = 1000
    max_rejects: float = 0.5
    close_missing: bool = True
    min_snapshot_ratio: float = 0.5
    mine: Callable[[str], bool] | None = None

    def __post_init__(self) -> None:
        self._client: BulkClient
        self._questions: Questions
        self._tally = Tally(self.max_rejects, all_known=not self.from_directory)
        self._lockout = self.hook.lockout
        self._batches = Batches(
            self.staging, self.chunk_size, self._spent, self._before_staging, self._after_staging
        )
        self._has_staged = False
        self._declined: set[str] = set()  # accounts of the next batches that may no longer exist
        self._active: int | None = None
        #: Number of accounts that the contact center no longer lists.
        self.gone = 0
        self._failures = Failures(self._concurrency)
        self._denied = 0
        self._lookup_worked = False

    @property
    def counts(self) -> Counts:
        """Counts of the run; those in ``SPENT`` are of this attempt."""
        return self._tally.counts

    def load(self, spooled: tuple[int, int] | None, staged: Iterable[tuple[str, str]] = ()) -> None:
        """Load the source's accounts and what earlier attempts have read. Blocks; calls Airflow.

        :param spooled: number of codes and of distinct codes in the spool; ``None`` for the directory
        :param staged: account and outcome of each answer that is still valid
        """
        counts = self.counts
        if spooled is not None:
            counts.requested, counts.unique = spooled
            counts.duplicates = counts.requested - counts.unique
        for batch in batches(staged, states.BATCH):
            self._has_staged = True
            known = self.spool.states([account for account, _ in batch])
            for account, outcome in batch:
                self._resume(outcome, account in known)
                self.spool.mark([account], outcome)
        if counts.resumed:
            log.info("Resuming: %d accounts were already processed by an earlier attempt.", counts.resumed)
        # The connection is read and checked here: an event loop must not call Airflow.
        self.hook.sessions, self.hook.page_size  # noqa: B018
        if self.softphones == "login_params":
            self._lockout.load()

    def _resume(self, outcome: str, in_source: bool) -> None:
        self.gone += outcome == GONE
        if outcome == GONE and self.from_directory:
            return  # the directory may list it again
        self.counts.resumed += 1
        self.counts.requested += not in_source
        self.counts.unique += not in_source
        self._tally.count(outcome)

    async def read(self) -> None:
        """Query every account that has no answer yet, and stage the answers.

        :raises CCError: the run cannot continue; staged answers are kept
        """
        async with self.hook.bulk() as client:
            self._client = client
            self._questions = Questions(
                client, self.spool, self.reading, self.softphones, self.passwords, self._lockout
            )
            try:
                with metrics.phase("read", self.staging.tags):
                    await self._read_all()
            finally:
                if self.softphones == "login_params":
                    await in_thread(self._lockout.save)()
                spent = self._spent()
                for name in SPENT:
                    setattr(self.counts, name, getattr(spent, name))
                if self.from_directory:
                    self.counts.requested = self.counts.unique + self.counts.duplicates
                metrics.read(client, spent.sign_ins, self.staging.clock, self.staging.tags)
        self._tally.summarize()
        if self.mine is None:
            judge(self.counts, self.max_rejects, self.gone, self._failures.refusal)

    async def _read_all(self) -> None:
        await self._reject_bad_codes()
        if self.from_directory and self.mine is not None:
            await self._take_kept_lines()
        elif self.from_directory:
            await self._read_directory()
        elif self.softphones == "directory" and self.mine is None:
            await self._pages.read_for_list()
        await self._side_by_side(self.spool.waiting(), self._ask)
        await self._batches.flush()
        if self.from_directory and self.close_missing:
            await self._close_unlisted()

    def _spent(self) -> Counts:
        client = self._client
        return Counts(
            requests=client.requests,
            sign_ins=self.hook.sessions.sign_ins,
            throttled_seconds=int(client.throttled_seconds),
        )

    # Accounts, one by one

    async def _ask(self, account: str, again: bool) -> None:
        """Query an account; ``again`` means that it has an answer that may be wrong."""
        if self._batches.is_full:
            await self._batches.room()
        try:
            questions = self._questions
            values = await (questions.listed(account) if self.from_directory else questions.known(account))
            if values is None and again:
                raise _no_agent("listed both as an agent and as not an agent")
        except ACCOUNT_ERRORS as error:
            self._failures.failed(error)
            if (
                isinstance(error, CCBusinessError)
                and not isinstance(error, CCPermissionError)
                and error.endpoint == api.AGENT_INFO.name
            ):
                self._declined.add(account)
            answer = self._tally.reject(account, error, self.staging.now())
        else:
            self._failures.worked()
            if values is None:
                self._tally.count("")
                return
            answer = Answer(account, ROW, self.staging.now(), values)
        self._tally.count(answer.outcome)
        self._batches.add([answer], replacing=again)

    async def _reject_bad_codes(self) -> None:
        for batch in batches(self.spool.bad(), self.chunk_size):
            await self._batches.room()
            now = self.staging.now()
            answers = [
                self._tally.reject(shown, CCBusinessError(ACCOUNT_CODE, ErrorCode.BAD_CODE, reason), now)
                for shown, reason in batch
            ]
            self._tally.count(REJECT, len(answers))
            self._batches.add(answers)

    # The directory

    @property
    def _pages(self) -> Pages:
        room = self._batches.room
        return Pages(self._client, self.spool, self.hook.page_size, self._concurrency, room)

    async def _read_directory(self) -> None:
        """Read the directory completely: clear entries become rows, other accounts will be queried."""
        self.counts.duplicates = await self._pages.read_all(self._take_page)
        self._tally.all_known = True
        await self._batches.flush()

    async def _take_page(self, found: Found) -> None:
        await self._take_lines(found.new, self.staging.now())
        for line, before in found.changed:
            self._take_back(line.account, before)
        for line, before in found.conflicting:
            self._take_back(line.account, before)
            self.spool.unsettle(line.account)

    async def _take_kept_lines(self) -> None:
        """Process the entries that another task has read as if they arrived now."""
        for met_at, kept in groupby(self.spool.lines(), itemgetter(2)):
            lines = [
                api_directory.unpack(account, body) if body else DirectoryAgent(account, None, None, None)
                for account, body, _ in kept
            ]
            await self._batches.room()
            await self._take_lines(lines, datetime.fromtimestamp(met_at, UTC))
        await self._batches.flush()

    async def _take_lines(self, new: Sequence[Line], read_at: datetime) -> None:
        known = self.spool.states([line.account for line in new]) if self._has_staged and new else {}
        answers: list[Answer] = []
        ask: list[str] = []
        for line in new:
            state = known.get(line.account)
            if state in (ROW, REJECT):
                continue
            self.counts.unique += 1
            if state == GONE:  # listed again
                self.gone -= 1
                self.spool.mark([line.account], states.AGAIN)
                continue
            outcome = self._outcome(line)
            if outcome is None:
                ask.append(line.account)
                continue
            self._tally.count(outcome)
            if isinstance(line, UnreadableLine):
                answers.append(self._tally.reject(line.account, line.error, self.staging.now()))
            elif outcome:
                answers.append(Answer(line.account, ROW, read_at, self.reading.values((line,))))
        self.spool.add(ask)
        self._batches.add(answers)

    def _outcome(self, line: Line) -> str | None:
        """Return the outcome of an entry: row, reject, nothing (""), or ``None`` if a query is needed."""
        if isinstance(line, UnreadableLine):
            return REJECT
        if line.agent_type == api_directory.NO_AGENT_TYPE:
            return ""
        return None if line.agent_id is None or self.softphones == "login_params" else ROW

    def _take_back(self, account: str, before: bytes) -> None:
        """Query an account whose entry has changed."""
        state = self.spool.states([account]).get(account)
        if state in (states.WAITING, states.AGAIN):
            return
        outcome = state or self._outcome(api_directory.unpack(account, before))
        self._tally.count(outcome or "", -1)
        self.counts.resumed -= state is not None
        self.spool.mark([account], states.AGAIN if outcome else states.WAITING)

    # Accounts that may no longer exist

    async def _close_unlisted(self) -> None:
        """Query each account with an active row that has no answer."""
        if self.mine is None:
            check_snapshot(self.counts.unique, await self._least_active())
        accounts = filter(self.mine or (lambda _: True), self.staging.not_seen())
        while batch := await self._batches.call(lambda: list(islice(accounts, states.BATCH))):
            await self._side_by_side(((account,) for account in batch), self._look_for)
        await self._batches.flush()

    async def _look_for(self, account: str) -> None:
        await self._batches.room()
        found = await self._look_up(account)
        if found is None or (found and found[0].account != account):
            self.counts.unconfirmed += 1
            return
        if not found:
            await self._close(account)
            return
        # It may have moved between pages; or it is not an agent, as its entry showed before.
        listed = self.spool.line(account) is not None
        if listed:
            self._tally.count("", -1)
        else:
            self.counts.unique += 1
        try:
            values = await self._questions.of_line(api_directory.only_line(found))
        except ACCOUNT_ERRORS as error:
            self._failures.failed(error)
            answer = self._tally.reject(account, error, self.staging.now())
        else:
            if values is None:
                self._tally.count("")
                await self._close(account)
                return
            answer = Answer(account, ROW, self.staging.now(), values)
        self._tally.count(answer.outcome)
        self._batches.add([answer])

    async def _close(self, account: str) -> None:
        await self._count_gone()
        self._batches.add([Answer(account, GONE, self.staging.now())])

    async def _look_up(self, account: str) -> list[DirectoryAgent] | None:
        """Query the directory for a single account; ``None`` if there is no clear answer."""
        if self._denied >= MAX_DENIED and not self._lookup_worked:
            return None
        try:
            found = await self._client.call(api_directory.query_account(account))
        except CCPermissionError:
            # Either for this account only, or the app key is not entitled to this interface.
            self._denied += 1
            if self._denied == MAX_DENIED and not self._lookup_worked:
                log.warning("Directory lookup was denied; no agents will be deactivated in this run.")
            return None
        except ACCOUNT_ERRORS as error:
            self._failures.failed(error)
            return None
        except ValueError:  # an account that cannot be sent
            return None
        self._failures.worked()
        self._lookup_worked = True
        return found

    async def _before_staging(self, batch: list[Answer]) -> list[Answer]:
        if self.softphones == "login_params":
            await in_thread(self._lockout.save)()
        declined = [answer.account for answer in batch if answer.account in self._declined]
        self._declined.difference_update(declined)
        if declined and self.close_missing and not self.from_directory:
            active = await self._batches.call(self.staging.active_among, declined)
            places = [(place,) for place, answer in enumerate(batch) if answer.account in active]

            async def look_for(place: int) -> None:
                batch[place] = await self._confirm(batch[place])

            await self._side_by_side(places, look_for)
        return batch

    def _after_staging(self) -> None:
        self._tally.check_rejects()  # after staging, so that the staging table shows what stopped the run
        self._tally.log_progress()

    async def _confirm(self, reject: Answer) -> Answer:
        """Check whether a rejected account no longer exists: only the directory's answer counts."""
        found = await self._look_up(reject.account)
        if found is None or (found and found[0].account != reject.account):
            self.counts.unconfirmed += 1
        if found is None or found:
            return reject
        await self._count_gone()
        text = "the directory no longer lists the account; its row is closed"
        return Answer(
            reject.account, GONE, self.staging.now(), (), api.DIRECTORY.name, ErrorCode.NO_AGENT.value, text
        )

    async def _count_gone(self) -> None:
        self.gone += 1
        least = await self._least_active()
        if (self._active or 0) - self.gone < least:
            raise CCError(
                f"{self.gone} of {self._active} active accounts no longer exist, more than "
                f"min_snapshot_ratio={self.min_snapshot_ratio} allows. No agents were "
                "deactivated. If this drop is expected, lower min_snapshot_ratio for one run"
            )

    async def _least_active(self) -> float:
        """Return how many rows must stay active."""
        if self._active is None:
            self._active = await self._batches.call(self.staging.active_count)
        return self.min_snapshot_ratio * self._active

    # Concurrency

    @property
    def _concurrency(self) -> int:
        return self.hook.settings.max_concurrency

    async def _side_by_side(
        self, items: Iterable[tuple[Any, ...]], ask: Callable[..., Coroutine[Any, Any, None]]
    ) -> None:
        """Process items concurrently; the first failure ends all of them and is raised unchanged."""
        iterator = iter(items)

        async def worker() -> None:
            for item in iterator:
                await ask(*item)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(worker())
        except BaseExceptionGroup as failures:
            first = failures.exceptions[0]
            # A rejected credential explains the other failures.
            raise next((e for e in failures.exceptions if isinstance(e, CCAuthError)), first) from None


def check_snapshot(accounts: int, least: float) -> None:
    """Check that the directory has not lost a suspicious number of accounts.

    :param accounts: number of accounts in the directory
    :param least: minimum number
    :raises CCError: the directory has fewer
    """
    if accounts < least:
        raise CCError(
            f"Directory returned {accounts} accounts, below the minimum of {least:.0f} (min_snapshot_ratio). "
            "No agents were deactivated. If this drop is expected, lower min_snapshot_ratio for one run"
        )


def _no_agent(text: str) -> CCBusinessError:
    return CCBusinessError(api.DIRECTORY.name, ErrorCode.NO_AGENT, text)
