"""What to do about a failed sync: the last line of its log."""

from __future__ import annotations

from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCConfigError,
    CCError,
    CCResponseError,
    CCTransientError,
)
from airflow_provider_cc.sync.interruptible import STOPPED


def failure(error: BaseException, seconds: float, cc_conn_id: str, resumes: bool) -> str:
    """Return what happened, why, and what to do.

    :param error: the failure of the attempt
    :param seconds: duration of the attempt
    :param cc_conn_id: connection to the contact center
    :param resumes: whether the next attempt can use what this one has staged
    """
    why = str(error) if isinstance(error, CCError) else type(error).__name__
    kept = " Staged answers are kept; the next attempt resumes the run." if resumes else ""
    return (
        f"Sync failed after {seconds:.1f} s: {why.rstrip('.')}. "
        f"Tables change only when a whole run is applied.{kept} What to do: {_advice(error, cc_conn_id)}."
    )


def _advice(error: BaseException, cc_conn_id: str) -> str:
    check = f"python -m airflow_provider_cc.doctor {cc_conn_id}"
    if isinstance(error, CCAuthError):
        return f"correct connection {cc_conn_id!r}, run {check}, then clear the task"
    if isinstance(error, CCConfigError):
        return "fix what the error names, then clear the task"
    if isinstance(error, CCTransientError):
        return f"if further attempts fail, too, run {check}"
    if isinstance(error, CCResponseError):
        return f"run {check}, which shows how this contact center differs from the manual"
    if not isinstance(error, CCError) or str(error) == STOPPED:
        return "if this was a time-out, raise execution_timeout, or let the next attempt finish the run"
    return "look up the codes and texts above in docs/troubleshooting.md, then clear the task"
