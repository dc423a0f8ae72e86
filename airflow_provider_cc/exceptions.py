"""Exceptions: the cause of a failure, and whether another attempt can help.

==================== ==================================== ===========================================
exception            meaning                              another attempt
==================== ==================================== ===========================================
CCConfigError        the Airflow connection is incomplete useless until it is changed: the task fails
                     or has an invalid value              without Airflow's retries
CCAuthError          the contact center rejected the      harmful, it locks accounts: the task fails
                     credential, or every call            without Airflow's retries
CCBusinessError      the contact center rejected the      useless with the same arguments
                     call
CCResponseError      the reply does not match the manual  useless until the cause is found
CCTransientError     no answer, or a temporary failure    useful; the hook has already tried
==================== ==================================== ===========================================

No exception carries a reply's body or a secret: only the endpoint, a code, an HTTP status and cleaned text.
"""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_cc.compat import AirflowException, AirflowFailException


class ErrorCode(StrEnum):
    """Codes of failures that this provider detects itself.

    All other codes are the contact center's own, or ``HTTP <status>``.
    """

    AMBIGUOUS = "ambiguous"
    BAD_CODE = "bad_code"
    BAD_PASSWORD = "bad_password"  # noqa: S105 - a code
    BLOCKED = "blocked"
    CANNOT_HOLD = "cannot_hold"
    CONNECT = "connect"
    DNS = "dns"
    FILTER_IGNORED = "filter_ignored"
    INCOMPLETE = "incomplete"
    MISSING_CODE = "missing_code"
    NO_AGENT = "no_agent"
    NO_PASSWORD = "no_password"  # noqa: S105 - a code
    NO_SESSION = "no_session"
    NOT_HTTP = "not_http"
    NOT_JSON = "not_json"
    NOT_READABLE = "not_readable"
    REPEATED_PAGE = "repeated_page"
    RESET = "reset"
    SESSION_LAPSED = "session_lapsed"
    TIMEOUT = "timeout"
    TLS = "tls"
    TOO_LONG = "too_long"
    UNEXPECTED_FORMAT = "unexpected_format"


#: Failures before the first byte of a request could be sent.
NOTHING_SENT = frozenset({ErrorCode.DNS, ErrorCode.CONNECT})


class CCError(AirflowException):
    """Base class of all exceptions of this provider, except ``ValueError`` for bad arguments."""


class CCConfigError(CCError, AirflowFailException):
    """The Airflow connection cannot be used for this call; the text says which fields to change."""


class _CallError(CCError):
    """A call failed.

    :param endpoint: the manual's name of the interface, e.g. ``queryAgentInfoByAccount``
    :param code: the contact center's own code, ``HTTP <status>``, or an :class:`ErrorCode`
    :param text: explanation, without secrets and control characters
    :param status: HTTP status, if the failure is one
    :param retry_after: seconds to wait, if the server requested it
    """

    def __init__(
        self,
        endpoint: str,
        code: str = "",
        text: str = "",
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        # All stay in `args`, so that the exception survives pickling.
        super().__init__(endpoint, str(code), text, status, retry_after)
        self.endpoint = endpoint
        self.code = str(code)
        self.text = text
        self.status = status
        self.retry_after = retry_after

    def __str__(self) -> str:
        return ": ".join(part for part in (self.endpoint, self.code, self.text) if part)


class CCAuthError(_CallError, AirflowFailException):
    """The credential is rejected (wrong or expired password, locked account), or every call is."""


class CCSessionRefused(CCAuthError):
    """A call was rejected, and the session has not worked for any other call."""


class CCBusinessError(_CallError):
    """The contact center understood the call and rejected it."""


class CCPermissionError(CCBusinessError):
    """This call was rejected (401 or 403), although the session works for other calls."""


class CCResponseError(_CallError):
    """The reply does not match the manual: not JSON, an unknown format, a redirect, an unknown status."""


class CCTransientError(_CallError):
    """No answer or a temporary failure: connection failure, time-out, 418, 429, 502, 503, 504, switchover."""


class CCSignInUnavailable(CCTransientError):
    """A sign-in got no usable answer. Waiting calls do not repeat it; Airflow's retries may."""
