"""What is read about an account."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

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
