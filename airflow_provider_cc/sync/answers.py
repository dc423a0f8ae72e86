"""What is read about an account, and the place where a reader puts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from airflow_provider_cc.sync.counts import Counts

#: The account was read · could not be read · the contact center no longer knows it.
ROW, REJECT, GONE = "row", "reject", "gone"


class Answer(NamedTuple):
    """What is known about an account.

    A gone account that the source asked for is a reject, too: it has a code. One that only the table had
    has none.

    :param account: sign-in account
    :param outcome: :data:`ROW`, :data:`REJECT` or :data:`GONE`
    :param read_at: when the answer arrived, by the database's clock
    :param values: of a row: the delivered columns, in the order of ``Reading.names``
    :param endpoint: of a reject: what was asked
    :param code: of a reject: how it failed
    :param message: of a reject: how it failed, in words
    """

    account: str
    outcome: str
    read_at: datetime
    values: tuple[Any, ...] = ()
    endpoint: str = ""
    code: str = ""
    message: str = ""


class Store(Protocol):
    """The database, as a reader sees it. All methods block; they are called in threads, one at a time."""

    def append(self, answers: Sequence[Answer], spent: Counts) -> None:
        """Keep answers about accounts that have none in this run; durable on return.

        :param answers: a batch
        :param spent: ``requests`` and ``sign_ins`` since the last batch
        """

    def replace(self, answers: Sequence[Answer], spent: Counts) -> None:
        """Keep answers about accounts that may have one in this run, which these replace; durable on return.

        :param answers: a batch
        :param spent: as in :meth:`append`
        """

    def active_among(self, accounts: Sequence[str]) -> set[str]:
        """Return which of the accounts have an active row.

        :param accounts: at most a batch of them
        """

    def active_count(self) -> int:
        """Return how many accounts have an active row."""

    def not_seen(self) -> Iterator[str]:
        """Iterate over accounts with an active row and no answer in this run; paged."""

    def now(self) -> datetime:
        """Return the time by the database's clock; cheap."""
