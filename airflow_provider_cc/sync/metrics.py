"""Monitoring of a sync: metrics through Airflow's ``Stats``, spans through OpenTelemetry.

A metric with tags in addition to those of the sync is sent a second time with their values in its name, as
Airflow does with its own metrics, because StatsD has no tags by default. ``docs/metrics.md`` lists them all.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import wraps
from typing import ParamSpec

from opentelemetry.trace import Status, StatusCode

from airflow_provider_cc.compat import Stats, tracing
from airflow_provider_cc.hooks.transport import BulkClient
from airflow_provider_cc.sync.counts import Counts

log = logging.getLogger(__name__)

P = ParamSpec("P")
#: Name → value, the same for all metrics and spans of a sync.
Tags = Mapping[str, str]

#: Prefix of every name, after the deployment's own prefix.
PREFIX = "cc.sync."
#: Results for an account, as named in :class:`~airflow_provider_cc.sync.counts.Counts`.
OUTCOMES = ("added", "changed", "unchanged", "reactivated", "deactivated", "rejected", "skipped")


def tags(dag_id: str, task_id: str, tenant: str) -> Tags:
    """Return the tags of a sync."""
    return {"dag_id": dag_id, "task_id": task_id, "tenant": _clean(tenant)}


def _clean(name: str) -> str:
    """Replace characters that are not allowed in a name, or would end a tag."""
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)


def _never_fails(send: Callable[P, None]) -> Callable[P, None]:
    """Let a sync succeed even if its monitoring fails."""

    @wraps(send)
    def safely(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            send(*args, **kwargs)
        except Exception as error:
            log.warning("Metrics cannot be sent (%s: %s).", type(error).__name__, error)

    return safely


@contextmanager
def phase(name: str, tags: Tags) -> Iterator[None]:
    """Time a phase of a sync, and trace it as a span.

    :param name: name of the phase
    :param tags: tags of the sync
    """
    tracer, parent = tracing()
    begun = time.monotonic()
    # Not the exception itself: a database error may contain the values of a row.
    with tracer.start_as_current_span(
        PREFIX + name, parent, attributes=tags, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            _time(name, time.monotonic() - begun, tags)


class Stopwatch:
    """Duration of a phase that is interleaved with another: the total time of its parts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        #: Wall-clock times of the first part's beginning and the last part's end, in nanoseconds.
        self.first = self.last = 0

    def __enter__(self) -> None:
        self._begun = time.monotonic()
        self.first = self.first or time.time_ns()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.monotonic() - self._begun
        self.last = time.time_ns()


@_never_fails
def read(client: BulkClient, sign_ins: int, staging: Stopwatch, tags: Tags) -> None:
    """Send the cost of an attempt, when it has finished reading.

    :param client: the client that has read
    :param sign_ins: number of sign-ins of the attempt
    :param staging: duration of its staging
    :param tags: tags of the sync
    """
    for endpoint, number in client.sent.items():
        _count("requests", number, tags, endpoint=endpoint)
    for (endpoint, reason), number in client.failed.items():
        _count("failed_requests", number, tags, endpoint=endpoint, reason=reason)
    _count("retries", client.retries, tags)
    _count("sign_ins", sign_ins, tags)
    _count("throttled_seconds", int(client.throttled_seconds), tags)
    if staging.first:
        _time("stage", staging.seconds, tags)
        tracer, parent = tracing()
        span = tracer.start_span(f"{PREFIX}stage", parent, attributes=tags, start_time=staging.first)
        span.set_attribute("seconds", staging.seconds)
        span.end(staging.last)


@_never_fails
def applied(counts: Counts, started_at: datetime, age: timedelta, tags: Tags) -> None:
    """Send the counts of a run that was applied.

    :param counts: counts of the run
    :param started_at: when it began
    :param age: how long ago that was
    :param tags: tags of the sync
    """
    for outcome in OUTCOMES:
        _count("accounts", getattr(counts, outcome), tags, outcome=outcome)
    freshness(started_at, age, tags)


@_never_fails
def freshness(started_at: datetime, age: timedelta, tags: Tags) -> None:
    """Send how old the last successful sync is.

    :param started_at: when it began
    :param age: how long ago that was, by the database's clock
    :param tags: tags of the sync
    """
    Stats.gauge(f"{PREFIX}last_success", started_at.timestamp(), tags=dict(tags))
    Stats.gauge(f"{PREFIX}age", age.total_seconds(), tags=dict(tags))


def _count(name: str, number: int, tags: Tags, **own: str) -> None:
    # Also send zeros: a rate needs the start of a counter.
    for full_name, all_tags in _named(name, tags, own):
        Stats.incr(full_name, number, tags=all_tags)


@_never_fails
def _time(name: str, seconds: float, tags: Tags) -> None:
    for full_name, all_tags in _named("duration", tags, {"phase": name}):
        # As milliseconds: some versions of Airflow turn a timedelta into seconds.
        Stats.timing(full_name, seconds * 1000, tags=all_tags)


def _named(name: str, tags: Tags, own: Tags) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the names under which a metric is sent, each with its tags."""
    yield PREFIX + name, {**tags, **own}
    if own:
        yield ".".join((PREFIX + name, *map(_clean, own.values()))), dict(tags)
