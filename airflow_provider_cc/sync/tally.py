"""Counts and logs the results for accounts, and ends a run that rejects too many."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import datetime
from typing import Any

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.sync.answers import GONE, REJECT, ROW, Answer
from airflow_provider_cc.sync.counts import Counts

log = logging.getLogger(__name__)

#: Seconds between two log lines about the progress.
LOG_EVERY = 10.0
#: Outcome of an account → its count; none means that it is not an agent.
_COUNTED_AS = {ROW: "synced", REJECT: "rejected", GONE: "rejected", "": "skipped"}


class Tally:
    """The counts of one attempt.

    :param max_rejects: number of rejects, or share of all accounts if a float, beyond which the run fails
    :param all_known: whether the number of accounts is known from the beginning
    """

    def __init__(self, max_rejects: float, all_known: bool) -> None:
        self.counts = Counts()
        #: Whether the number of accounts is known.
        self.all_known = all_known
        self._max_rejects = max_rejects
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._begun = self._logged = time.monotonic()

    def count(self, outcome: str, by: int = 1) -> None:
        """Count accounts by their outcome.

        :param outcome: from :mod:`airflow_provider_cc.sync.answers`; empty for accounts that are not agents
        :param by: number of accounts
        """
        name = _COUNTED_AS[outcome]
        setattr(self.counts, name, getattr(self.counts, name) + by)

    def reject(self, account: str, error: Any, read_at: datetime) -> Answer:
        """Return the answer for an account that could not be read, and record the reason.

        :param account: sign-in account
        :param error: has endpoint, code and text
        :param read_at: when it arrived
        """
        self._reasons[error.endpoint, error.code] += 1
        return Answer(account, REJECT, read_at, (), error.endpoint, error.code, error.text)

    def check_rejects(self) -> None:
        """Check that not too many accounts were rejected.

        :raises CCError: too many were rejected; raised as soon as this is certain
        """
        if self.all_known or not isinstance(self._max_rejects, float):
            try:
                check_rejects(self.counts, self._max_rejects)
            except CCError:
                self._log_rejects()
                raise

    def log_progress(self) -> None:
        """Log how far the attempt is, every :data:`LOG_EVERY` seconds."""
        now = time.monotonic()
        if now - self._logged < LOG_EVERY:
            return
        self._logged = now
        counts = self.counts
        done = counts.synced + counts.rejected + counts.skipped
        rate = (done - counts.resumed) / (now - self._begun)
        log.info(
            "%d of %d accounts, %.0f per second, %d rejected.", done, counts.unique, rate, counts.rejected
        )

    def summarize(self) -> None:
        """Log what could not be read, and what is uncertain."""
        self._log_rejects()
        if self.counts.unconfirmed:
            log.warning(
                "%d accounts may no longer exist, but the directory did not confirm it; their rows stay "
                "open.",
                self.counts.unconfirmed,
            )

    def _log_rejects(self) -> None:
        """Log how many accounts were rejected, by endpoint and code; never which."""
        for (endpoint, code), count in self._reasons.most_common(20):
            log.warning("%d accounts rejected: %s: %s", count, endpoint, code)
        self._reasons.clear()


def judge(counts: Counts, max_rejects: float, gone: int, refusal: CCError | None = None) -> None:
    """Check a run, when everything is read.

    :param counts: counts of the run
    :param max_rejects: number of rejects, or share of all accounts if a float, above which it fails
    :param gone: number of accounts that the contact center no longer lists
    :param refusal: how calls were rejected, if they were
    :raises CCError: all accounts were rejected, or too many; or the counts do not reconcile
    """
    if counts.unique and counts.rejected == counts.unique and not gone:
        raise refusal or CCError(f"all {counts.unique} accounts were rejected")
    check_rejects(counts, max_rejects)
    counts.check()


def check_rejects(counts: Counts, max_rejects: float) -> None:
    """Check that not too many accounts were rejected.

    :param counts: counts of the run
    :param max_rejects: number of rejects, or share of all accounts if a float
    :raises CCError: too many were rejected
    """
    limit = max_rejects
    if isinstance(limit, float):
        limit *= counts.unique
    if counts.rejected > limit:
        raise CCError(f"{counts.rejected} accounts rejected, more than max_rejects={max_rejects} allows")
