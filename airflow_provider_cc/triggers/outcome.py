"""A failure on its way from the triggerer to the task, which is told of it by an event."""

from __future__ import annotations

from typing import Any

from airflow_provider_cc import exceptions
from airflow_provider_cc.exceptions import CCError


def failure(error: CCError) -> dict[str, Any]:
    """Return the event that tells of a failure; like the exception, it holds no secret.

    :param error: what happened
    """
    return {"error": type(error).__name__, "arguments": list(error.args)}


def failure_of(event: dict[str, Any]) -> CCError | None:
    """Return the exception that an event tells of, if it tells of one.

    :param event: what the trigger sent
    """
    if "error" not in event:
        return None
    kind = getattr(exceptions, event["error"])
    error: CCError = kind(*event["arguments"])
    return error
