"""A list of accounts in, a list of rows out: what the operators for accounts share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from airflow_provider_cc.exceptions import CCBusinessError, CCResponseError, CCSessionRefused

log = logging.getLogger(__name__)

#: After so many refused calls, if none has worked, the credential and not the account is refused.
MAX_REFUSED = 20


def as_list(name: str, value: Any) -> list[str]:
    """Return one text as a list of one, and a list (or what XCom makes of it) as a list.

    :param name: the argument's name, for the error
    :param value: the argument, rendered
    :raises ValueError: it is neither
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return list(value)
    raise ValueError(f"{name} must be a text or a list of texts")


def ask_each(
    calls: Sequence[tuple[str, Callable[[], msgspec.Struct]]],
    on_error: str,
    shared_password: bool = False,
) -> list[dict[str, Any]]:
    """Make one call for each account and return a row for each, in the same order.

    With ``on_error="collect"`` an account that cannot be read yields a row of ``account``, ``endpoint``,
    ``code`` and ``message`` (the columns of the sync's reject table) instead of failing the task. What is not
    the fault of one account – a refused sign-in, a silent server, a refusal of every call – fails the task in
    either case.

    :param calls: account and call
    :param on_error: ``"raise"`` or ``"collect"``
    :param shared_password: every call carries the same password, so a failure before the first success may
        be that password's: it is not sent again
    :raises ValueError: another ``on_error``
    """
    if on_error not in ("raise", "collect"):
        raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    rows: list[dict[str, Any]] = []
    refusals: list[CCSessionRefused] = []
    succeeded = 0
    for account, call in calls:
        try:
            # By way of JSON, as XCom keeps it: a row looks the same before and after.
            rows.append(msgspec.json.decode(msgspec.json.encode(call())))
            succeeded += 1
        except (CCBusinessError, CCResponseError, CCSessionRefused) as error:
            if on_error == "raise" or (shared_password and not succeeded):
                raise
            if isinstance(error, CCSessionRefused):
                refusals.append(error)
            if len(refusals) >= MAX_REFUSED and not succeeded:
                raise
            rows.append(
                {"account": account, "endpoint": error.endpoint, "code": error.code, "message": error.text}
            )
    if refusals and len(refusals) == len(rows):
        raise refusals[-1]
    log.info("Asked for %d accounts: %d read, %d not.", len(rows), succeeded, len(rows) - succeeded)
    return rows
