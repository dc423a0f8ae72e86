"""Which failure is whose fault, and who may try again.

==================== =================================== ========================================
exception            means                               another try
==================== =================================== ========================================
CCConfigError        the connection lacks or garbles     useless until somebody changes it: the
                     something this call needs           task fails without Airflow's retries
CCAuthError          the contact centre refused the      harmful, it locks accounts: the task
                     credential or the session           fails without Airflow's retries
CCBusinessError      it answered, and the answer is no   useless with the same arguments
CCResponseError      it answered something that the      useless until somebody looks
                     manual does not know
CCTransientError     it did not answer, or is too busy   welcome, the hook has already tried
==================== =================================== ========================================

No exception carries a reply's body or a secret: only the endpoint, a code and cleaned text.
"""

from __future__ import annotations

from airflow_provider_cc.compat import AirflowException, AirflowFailException


class CCError(AirflowException):
    """Base of everything that this provider raises, except ``ValueError`` for bad arguments."""


class CCConfigError(CCError, AirflowFailException):
    """The Airflow connection cannot serve this call; the text says which fields to change."""


class _CallError(CCError):
    """A call that failed.

    :param endpoint: the manual's name of the interface, e.g. ``queryAgentInfoByAccount``
    :param code: the contact centre's own code, ``HTTP <status>``, or a word for what happened on the way
    :param text: what it means, freed of secrets and control characters
    """

    def __init__(self, endpoint: str, code: str = "", text: str = "") -> None:
        # All three stay in `args`, so that the exception survives pickling.
        super().__init__(endpoint, code, text)
        self.endpoint = endpoint
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return ": ".join(part for part in (self.endpoint, self.code, self.text) if part)


class CCAuthError(_CallError, AirflowFailException):
    """Refused: wrong or expired password, locked account, unknown app key, address not allowed."""


class CCSessionLapsed(CCAuthError):
    """A session was refused; final unless it had worked before (the hook then signs in again once)."""


class CCBusinessError(_CallError):
    """The contact centre understood the call and declined it."""


class CCResponseError(_CallError):
    """The reply is not what the manual says: no JSON, another shape, a redirect, an unknown status."""


class CCTransientError(_CallError):
    """No answer, or "later": connection failures, time-outs, 429, 502, 503, 504, switch-overs.

    :param retry_after: seconds that the server asked to wait, if it did
    """

    def __init__(
        self, endpoint: str, code: str = "", text: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(endpoint, code, text)
        self.args = (endpoint, code, text, retry_after)
        self.retry_after = retry_after


class CCSignInUnavailable(CCTransientError):
    """A sign-in got no usable answer. Calls that wait for it do not repeat it: Airflow's retries may."""
