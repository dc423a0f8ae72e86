"""Waits for what a running Airflow, or the center that it asks, comes to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds, on a machine that is busy with others.
PATIENCE = 300


def wait_until(condition: Callable[[], T], what: str) -> T:
    """Return what a condition yields, as soon as that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE} s"
        time.sleep(0.1)
    return found
