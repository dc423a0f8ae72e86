"""Airflow Variables that tasks share; a failure to read or write one never fails a task."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_cc.compat import get_variable, set_variable

log = logging.getLogger(__name__)


class _Tracebacks(logging.Filter):
    """Drops the tracebacks that one thread logs, and remembers the last exception."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self.error: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread or not record.exc_info:
            return True
        self.error = record.exc_info[1]
        return False


@contextmanager
def _without_tracebacks() -> Iterator[_Tracebacks]:
    """Replace the traceback that Airflow logs for a database that it cannot reach."""
    logger, seen = logging.getLogger("airflow.models.variable"), _Tracebacks()
    logger.addFilter(seen)
    try:
        yield seen
    finally:
        logger.removeFilter(seen)


def read(name: str) -> str | None:
    """Return a Variable; ``None`` if there is none, it is empty, or it cannot be read.

    :param name: its name
    """
    with _without_tracebacks() as seen:
        try:
            value = get_variable(name)
        except Exception as error:
            seen.error, value = error, None
    if seen.error is not None and value is None:
        log.warning("Variable %s cannot be read (%s).", name, type(seen.error).__name__)
    return value if isinstance(value, str) and value else None


def write(name: str, value: str, description: str) -> bool:
    """Write a Variable; return whether that worked.

    :param name: its name
    :param value: its value
    :param description: what it is for, shown in the UI
    """
    with _without_tracebacks():
        try:
            set_variable(name, value, description)
        except Exception as error:
            # Its text may hold the value, as the parameter of a statement.
            log.warning("Variable %s cannot be written (%s).", name, type(error).__name__)
            return False
    return True
