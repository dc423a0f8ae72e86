"""A list of accounts in, a list of rows out: what the operators for accounts share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from airflow_provider_cc.exceptions import CCBusinessError, CCResponseError

log = logging.getLogger(__name__)


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
    accounts: Sequence[str],
    ask: Callable[[str], msgspec.Struct],
    on_error: str,
    password_in_call: bool = False,
) -> list[dict[str, Any]]:
    """Ask for every account in turn and return a row for each, in the same order.

    With ``on_error="collect"`` an account that cannot be read yields a row of ``account``, ``endpoint``,
    ``code`` and ``message`` (the columns of the sync's reject table) instead of failing the task. What is not
    the fault of one account – a refused sign-in, a silent server – fails the task in either case.

    :param accounts: what to ask for
    :param ask: asks for one
    :param on_error: ``"raise"`` or ``"collect"``
    :param password_in_call: every call carries the same password, so a failure before the first success may
        be that password's: it is not sent again
    :raises ValueError: another ``on_error``
    """
    if on_error not in ("raise", "collect"):
        raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    rows: list[dict[str, Any]] = []
    succeeded = bad = 0
    for account in accounts:
        try:
            # By way of JSON, as XCom keeps it: a row looks the same before and after.
            rows.append(msgspec.json.decode(msgspec.json.encode(ask(account))))
            succeeded += 1
        except (CCBusinessError, CCResponseError) as error:
            if on_error == "raise" or (password_in_call and not succeeded):
                raise
            bad += 1
            rows.append(
                {"account": account, "endpoint": error.endpoint, "code": error.code, "message": error.text}
            )
    log.info("Asked for %d accounts: %d read, %d not.", len(rows), succeeded, bad)
    return rows
