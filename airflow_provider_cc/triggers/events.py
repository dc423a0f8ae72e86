"""Events that carry a failure from the trigger to the task."""

from __future__ import annotations

from typing import Any

from airflow_provider_cc import exceptions
from airflow_provider_cc.exceptions import CCError


def failure(error: CCError) -> dict[str, Any]:
    """Return the event for a failure. Like the exception, it contains no secret.

    :param error: the failure
    """
    return {"error": type(error).__name__, "arguments": list(error.args)}


def failure_of(event: dict[str, Any]) -> CCError | None:
    """Return the exception for the failure in an event, or ``None`` if there is none.

    :param event: the trigger's event
    """
    if "error" not in event:
        return None
    kind = getattr(exceptions, event["error"])
    error: CCError = kind(*event["arguments"])
    return error
