"""Tells the failure of one account from that of the contact center."""

from __future__ import annotations

from collections import deque

from airflow_provider_cc.exceptions import (
    NOTHING_SENT,
    CCBusinessError,
    CCError,
    CCPermissionError,
    CCResponseError,
    CCSessionRefused,
    CCSignInUnavailable,
    CCTransientError,
    ErrorCode,
)

#: So many transient failures among the last calls mean that the server is failing, and end the run.
MAX_FAILURES, RECENT_CALLS = 50, 1000
#: So many in a row mean the same, if no more calls are under way at a time; otherwise, as many as are.
MAX_IN_A_ROW = 10
#: So many refused calls, if none has worked, mean that the credential and not the account is refused.
MAX_REFUSED = 20

#: Failures of one account; all others end the run.
ACCOUNT_ERRORS = (CCBusinessError, CCResponseError, CCTransientError, CCSessionRefused)


class Failures:
    """Counts calls that fail, and raises once the evidence says that all of them will.

    :param concurrency: calls under way at a time
    """

    def __init__(self, concurrency: int) -> None:
        self._most_in_a_row = max(MAX_IN_A_ROW, concurrency)
        #: The latest refusal of a call with a session that has not worked for any other one.
        self.refusal: CCSessionRefused | None = None
        self._calls = 0
        self._transient: deque[int] = deque()
        self._in_a_row = 0
        self._worked = False
        self._refused = 0

    def worked(self) -> None:
        """Note a call that worked."""
        self._calls += 1
        self._in_a_row, self._worked = 0, True

    def failed(self, error: CCError) -> None:
        """Note a call that failed.

        :param error: one of :data:`ACCOUNT_ERRORS`
        :raises CCError: everything fails, or is refused
        """
        self._calls += 1
        if isinstance(error, CCSessionRefused):
            self.refusal = error
        if isinstance(error, CCSessionRefused | CCPermissionError):
            self._refused += 1
            if self._refused >= MAX_REFUSED and not self._worked:
                raise error
        elif isinstance(error, CCBusinessError) and error.status is None:
            self._worked = True
        if not isinstance(error, CCTransientError):  # an answer, too
            self._in_a_row = 0
            return
        if isinstance(error, CCSignInUnavailable) or error.code in (ErrorCode.TLS, *NOTHING_SENT):
            raise error
        self._in_a_row += 1
        self._transient.append(self._calls)
        while self._transient[0] <= self._calls - RECENT_CALLS:
            self._transient.popleft()
        if len(self._transient) > MAX_FAILURES:
            what = f"more than {MAX_FAILURES} of the last {RECENT_CALLS} calls failed"
        elif self._in_a_row >= self._most_in_a_row:
            what = f"{self._in_a_row} calls in a row failed"
        else:
            return
        text = "; last failure: ".join(filter(None, (what, error.text)))
        raise CCTransientError(error.endpoint, error.code, text)
