"""The answers about accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

#: The account was read · could not be read · is no longer listed by the contact center.
ROW, REJECT, GONE = "row", "reject", "gone"


class Answer(NamedTuple):
    """The answer about an account.

    A missing account that is in the source is also a reject and has a code. One that was only in the table
    has none.

    :param account: sign-in account
    :param outcome: :data:`ROW`, :data:`REJECT` or :data:`GONE`
    :param read_at: when the answer arrived, by the database's clock
    :param values: for a row: values of the source's columns, in the order of ``Reading.names``
    :param endpoint: for a reject: the interface that was called
    :param code: for a reject: the code of the failure
    :param message: for a reject: the text of the failure
    """

    account: str
    outcome: str
    read_at: datetime
    values: tuple[Any, ...] = ()
    endpoint: str = ""
    code: str = ""
    message: str = ""
