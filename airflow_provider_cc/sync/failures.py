"""Distinguishes failures of single accounts from a failure of the contact center."""

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

#: More transient failures than this among the last calls mean that the server is failing, and end the run.
MAX_FAILURES, RECENT_CALLS = 50, 1000
#: This many in a row mean the same, or as many as there are concurrent calls, if that is more.
MAX_IN_A_ROW = 10
#: This many rejected calls, if none has succeeded, mean that the credential is rejected, not the account.
MAX_REFUSED = 20

#: Failures of one account; all others end the run.
ACCOUNT_ERRORS = (CCBusinessError, CCResponseError, CCTransientError, CCSessionRefused)


class Failures:
    """Counts failed calls, and raises when it is clear that all calls will fail.

    :param concurrency: number of concurrent calls
    """

    def __init__(self, concurrency: int) -> None:
        self._most_in_a_row = max(MAX_IN_A_ROW, concurrency)
        #: The latest rejection of a call with a session that has not worked for any other call.
        self.refusal: CCSessionRefused | None = None
        self._calls = 0
        self._transient: deque[int] = deque()
        self._in_a_row = 0
        self._worked = False
        self._refused = 0

    def worked(self) -> None:
        """Record a call that succeeded."""
        self._calls += 1
        self._in_a_row, self._worked = 0, True

    def failed(self, error: CCError) -> None:
        """Record a call that failed.

        :param error: one of :data:`ACCOUNT_ERRORS`
        :raises CCError: everything fails, or is rejected
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
        if not isinstance(error, CCTransientError):  # also an answer
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
