"""What tasks leave for each other in Airflow Variables, which may be away without failing a task."""

from __future__ import annotations

import logging

from airflow_provider_cc.compat import get_variable, set_variable

log = logging.getLogger(__name__)


def read(name: str) -> str | None:
    """Return a Variable; ``None`` if there is none, it is empty, or it cannot be had.

    :param name: its name
    """
    try:
        value = get_variable(name)
    except Exception as error:
        log.warning("Variable %s cannot be read (%s).", name, type(error).__name__)
        return None
    return value if isinstance(value, str) and value else None


def write(name: str, value: str, description: str) -> bool:
    """Write a Variable; return whether that worked.

    :param name: its name
    :param value: its value
    :param description: what it is, for whoever meets it in the UI
    """
    try:
        set_variable(name, value, description)
    except Exception as error:
        # Its text may hold the value, as the parameter of a statement.
        log.warning("Variable %s cannot be written (%s).", name, type(error).__name__)
        return False
    return True
