"""When a call is tried again, and after what time; the same for the blocking and the asynchronous client."""

from __future__ import annotations

import random
from typing import Any

import tenacity

from airflow_provider_cc.exceptions import CCSignInUnavailable, CCTransientError

#: Tries of one call, the first included.
MAX_TRIES = 5
#: Seconds after which no further try begins.
MAX_SECONDS = 120.0
#: Longest wait before the second try, in seconds; twice as long before each further one …
FIRST_BACK_OFF = 1.0
#: … up to this.
LONGEST_BACK_OFF = 20.0
#: A server's Retry-After beyond this many seconds is not waited for in full.
MAX_WAIT = 60.0

#: Codes of :class:`CCTransientError` for which the server cannot have looked at the credential, or its
#: answer was lost with the connection.
CONNECTION_FAILED = frozenset({"dns", "connect", "reset", "tls"})


def policy(tries: int = MAX_TRIES) -> dict[str, Any]:
    """Return the arguments for tenacity's ``Retrying`` and ``AsyncRetrying`` of a call.

    :param tries: how many, the first included
    """
    return {
        "stop": tenacity.stop_after_attempt(tries) | tenacity.stop_before_delay(MAX_SECONDS),
        "wait": _wait,
        "retry": tenacity.retry_if_exception(worth_another_try),
        "reraise": True,
    }


def sign_in_policy() -> dict[str, Any]:
    """Return the same for a sign-in, which is repeated only where the connection itself failed."""
    return {**policy(), "retry": tenacity.retry_if_exception(_never_arrived)}


def worth_another_try(error: BaseException) -> bool:
    """Whether a call that failed with this may succeed when it is made again."""
    return isinstance(error, CCTransientError) and not isinstance(error, CCSignInUnavailable)


def pause(error: BaseException | None, tries: int) -> float:
    """Return the seconds to wait before the next try: what the server asks for, or a jittered, growing time.

    :param error: how the last try failed
    :param tries: how many there have been
    """
    asked = error.retry_after if isinstance(error, CCTransientError) else None
    longest = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** (tries - 1))
    own = random.uniform(longest / 20, longest)  # noqa: S311 - spreads load, guards nothing
    return own if asked is None else min(asked, MAX_WAIT) + own / 10


def _never_arrived(error: BaseException) -> bool:
    return isinstance(error, CCTransientError) and error.code in CONNECTION_FAILED


def _wait(state: tenacity.RetryCallState) -> float:
    return pause(state.outcome.exception() if state.outcome is not None else None, state.attempt_number)
