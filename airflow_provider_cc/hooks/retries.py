"""When a call is repeated, and after what time; the same for both clients."""

from __future__ import annotations

import random
from typing import Any

import tenacity

from airflow_provider_cc.api.protocol import Call
from airflow_provider_cc.exceptions import NOTHING_SENT, CCSignInUnavailable, CCTransientError

#: Attempts of one call, the first included; of a call that carries a password.
MAX_TRIES = 5
MAX_TRIES_WITH_SECRET = 2
#: Seconds after which no further attempt begins.
MAX_SECONDS = 120.0
#: Longest wait before the second attempt, in seconds; twice as long before each further one …
FIRST_BACK_OFF = 1.0
#: … up to this.
LONGEST_BACK_OFF = 20.0
#: The part of a server's Retry-After beyond this many seconds is ignored.
MAX_WAIT = 60.0


def policy(call: Call[Any], done: int = 0) -> dict[str, Any]:
    """Return the arguments for tenacity's ``Retrying`` and ``AsyncRetrying``.

    :param call: the call
    :param done: attempts made before
    """
    tries = (MAX_TRIES_WITH_SECRET if call.secrets else MAX_TRIES) - done
    return {
        "stop": tenacity.stop_after_attempt(tries) | tenacity.stop_before_delay(MAX_SECONDS),
        "wait": _wait,
        "retry": tenacity.retry_if_exception(lambda error: may_repeat(call, error)),
        "reraise": True,
    }


def may_repeat(call: Call[Any], error: BaseException) -> bool:
    """Whether a failed call may be repeated.

    One that carries a password only if it is certain that nothing was sent: accounts are locked after three
    wrong passwords, and whoever does not answer may have counted.

    :param call: the call
    :param error: how it failed
    """
    if not isinstance(error, CCTransientError) or isinstance(error, CCSignInUnavailable):
        return False
    return not call.secrets or error.code in NOTHING_SENT


def pause(error: BaseException | None, tries: int) -> float:
    """Return the seconds to wait before the next attempt: what the server asks for, or a growing random time.

    :param error: how the last attempt failed
    :param tries: attempts so far
    """
    asked = error.retry_after if isinstance(error, CCTransientError) else None
    longest = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** (tries - 1))
    own = random.uniform(longest / 20, longest)  # noqa: S311 - spreads load, guards nothing
    return own if asked is None else min(asked, MAX_WAIT) + own / 10


def _wait(state: tenacity.RetryCallState) -> float:
    return pause(state.outcome.exception() if state.outcome is not None else None, state.attempt_number)
