"""Account codes from a source: displayed as a number in the UI, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from typing import Any

from airflow_provider_cc.api.management import MAX_ACCOUNT, MAX_ACCOUNT_CODE
from airflow_provider_cc.api.protocol import text_argument
from airflow_provider_cc.sync.spool import BAD, WAITING, Spool, batches

#: Number of codes read and spooled at a time.
BATCH = 10_000


class AccountList:
    """A list of account codes that is displayed as a number, because the UI stores rendered fields.

    :param codes: value of a list or an XComArg
    :raises ValueError: it is not a list
    """

    def __init__(self, codes: Any) -> None:
        if isinstance(codes, AccountList):
            codes = codes.codes
        if isinstance(codes, str | bytes | dict) or not isinstance(codes, Iterable):
            raise ValueError(
                "accounts must be a list of account codes. A template returns a list only with "
                "render_template_as_native_obj=True; an XComArg always does"
            )
        self.codes: list[Any] = list(codes)

    def __str__(self) -> str:
        return f"({len(self.codes)} accounts)"

    __repr__ = __str__


def spool_codes(codes: Iterable[Any], spool: Spool) -> tuple[int, int]:
    """Put codes into the spool, both those that can be queried and those that cannot.

    :param codes: texts or whole numbers
    :param spool: an empty spool
    :return: number of codes, and number of distinct codes
    """
    requested = unique = 0
    for batch in batches(codes, BATCH):
        good: list[str] = []
        for code in batch:
            text = str(code) if type(code) is int else code
            reason = _reason_against(text)
            if reason is None:
                good.append(text)
            else:
                unique += spool.add([_shown(text)], BAD, reason)
        requested += len(batch)
        unique += spool.add(good, WAITING)
    return requested, unique


def rows_of_one_column(rows: Generator[Any, None, None]) -> Iterator[Any]:
    """Iterate over the only column of a query.

    :param rows: its rows
    :raises ValueError: there is more than one column
    """
    with closing(rows):
        for row in rows:
            if len(row) != 1:
                raise ValueError(f"accounts_sql must return one column, the account code, not {len(row)}")
            yield row[0]


def _reason_against(code: Any) -> str | None:
    if code is None:
        return "NULL instead of an account code"
    try:
        text_argument("the account code", code, MAX_ACCOUNT_CODE)
    except ValueError as error:
        return str(error)
    if code != code.strip():
        return "the account code begins or ends with whitespace: TRIM it in the source"
    if "\0" in code:
        return "the account code contains a NUL character, which databases do not accept"
    return None


def _shown(code: Any) -> str:
    """Return the repr of an invalid code: it differs from any valid code, and databases accept it."""
    text = "<NULL>" if code is None else repr(code)
    if len(text) <= MAX_ACCOUNT:
        return text
    return f"{text[: MAX_ACCOUNT - 9]}…{sha256(text.encode()).hexdigest()[:8]}"
