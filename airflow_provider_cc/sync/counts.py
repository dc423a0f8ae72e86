"""Counts of a run, which must reconcile."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from airflow_provider_cc.exceptions import CCError

#: What each attempt spends; added up over all attempts.
SPENT = ("requests", "sign_ins", "throttled_seconds")


@dataclass
class Counts:
    """Counts of a run, over all its attempts.

    :param requested: accounts that the source returned, including repeated ones
    :param duplicates: repeated accounts
    :param unique: distinct accounts
    :param synced: accounts that were read
    :param added: new rows
    :param changed: rows with a changed value
    :param unchanged: rows without a change
    :param deactivated: rows closed because the directory no longer lists the account
    :param reactivated: rows that had been closed
    :param rejected: accounts that could not be read
    :param resumed: accounts that earlier attempts had read or rejected
    :param requests: requests sent, sign-ins not included
    :param sign_ins: sign-ins
    :param throttled_seconds: whole seconds for which a rate limit held calls back
    :param unconfirmed: accounts whose absence could not be confirmed, so their row stays open
    :param skipped: directory entries that are not agents
    """

    requested: int = 0
    duplicates: int = 0
    unique: int = 0
    synced: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deactivated: int = 0
    reactivated: int = 0
    rejected: int = 0
    resumed: int = 0
    requests: int = 0
    sign_ins: int = 0
    throttled_seconds: int = 0
    unconfirmed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def check(self) -> None:
        """Check that no account was lost or counted twice.

        :raises CCError: the counts do not reconcile
        """
        if (
            self.requested != self.unique + self.duplicates
            or self.unique != self.synced + self.rejected + self.skipped
        ):
            raise CCError(f"counts do not reconcile, so rows may be missing or duplicated: {self}")
