"""Shared code of the operators for accounts: query each account and return a row for each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from airflow_provider_cc.exceptions import CCBusinessError, CCResponseError, CCSessionRefused

log = logging.getLogger(__name__)

#: If no call has succeeded after this many were rejected, the cause is not a single account.
MAX_REJECTED = 20


def as_list(name: str, value: Any) -> list[str]:
    """Return one string, or a list of strings (or XCom's equivalent), as a list.

    :param name: the argument's name, for the error
    :param value: the rendered argument
    :raises ValueError: neither a string nor a list of strings
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return list(value)
    raise ValueError(f"{name} must be a string or a list of strings")


def query_each(
    calls: Sequence[tuple[str, Callable[[], msgspec.Struct]]],
    on_error: str,
    shared_password: bool = False,
) -> list[dict[str, Any]]:
    """Make one call for each account and return a row for each, in the same order.

    With ``on_error="collect"``, an account that cannot be read returns a row of ``account``, ``endpoint``,
    ``code`` and ``message`` (the columns of the sync's reject table) instead of failing the task. Errors that
    do not concern one account always fail the task: a rejected sign-in, no answer, or a rejection of every
    call.

    :param calls: account and call
    :param on_error: ``"raise"`` or ``"collect"``
    :param shared_password: every call carries the same password. A failure before the first success may mean
        that the password is wrong, so it is not sent again
    :raises ValueError: another ``on_error``
    """
    if on_error not in ("raise", "collect"):
        raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    rows: list[dict[str, Any]] = []
    rejections: list[CCSessionRefused] = []
    succeeded = 0
    for account, call in calls:
        try:
            # Converted to JSON and back, so that a row equals the value that XCom returns.
            rows.append(msgspec.json.decode(msgspec.json.encode(call())))
            succeeded += 1
        except (CCBusinessError, CCResponseError, CCSessionRefused) as error:
            if on_error == "raise" or (shared_password and not succeeded):
                raise
            if isinstance(error, CCSessionRefused):
                rejections.append(error)
            if len(rejections) >= MAX_REJECTED and not succeeded:
                raise
            rows.append(
                {"account": account, "endpoint": error.endpoint, "code": error.code, "message": error.text}
            )
    if rejections and len(rejections) == len(rows):
        raise rejections[-1]
    log.info("Queried %d accounts: %d read, %d rejected.", len(rows), succeeded, len(rows) - succeeded)
    return rows
