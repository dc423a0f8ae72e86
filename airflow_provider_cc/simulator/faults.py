"""Injected faults."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from airflow_provider_cc.simulator.exchange import JSON_TYPE, Reply, encode, http_failure
from airflow_provider_cc.simulator.population import mix

#: Reply of a web firewall or load balancer in front of the contact center.
HTML_PAGE = b"<!DOCTYPE html><html><head><title>Request failed</title></head><body><h1>%d</h1></body></html>"
HTML_TYPE = "text/html;charset=UTF-8"


@dataclass
class Faults:
    """Switches for faults. They are read at every request and may be changed at any time.

    Shares are between 0 and 1. Only the seed, the interface and n determine whether the n-th request of an
    interface is affected, so a sequence of requests sees the same faults in every run.

    :param latency: latency of every reply, in seconds
    :param jitter: maximum variation of the latency, in seconds
    :param slow_share: share of replies that take `slow_seconds` longer
    :param slow_seconds: additional seconds of a slow reply
    :param errors: share of requests that get an HTTP status instead of being handled, e.g. {502: 0.01}
    :param rate_limit: requests accepted per second; others get 429
    :param retry_after: seconds in the Retry-After header of a 429; None: no such header
    :param expire_every: interval in seconds at which all sessions end
    :param refuse_sign_ins: systems that reject every sign-in: "management", "gateway", "agent", "isales";
        "agent" includes queryAgentLoginParams
    :param reset_before: share of requests that are handled, but whose connection is reset before the reply
    :param reset_midway: share of replies whose connection breaks after the first half of the body
    :param truncated: share of replies that end regularly after the first half of the body
    :param empty: share of replies with an empty body
    :param html_errors: replies with a status of 400 or above are HTML pages
    :param vary_types: numbers in replies become strings, and strings that are numbers become numbers
    :param overrides: the reply to an authenticated request for an account: (status, body); the body is bytes,
        a string or any JSON value
    :param only: interfaces that latency, errors, resets and changed bodies are restricted to, by their names
        in the statistics; None for all
    """

    latency: float = 0.0
    jitter: float = 0.0
    slow_share: float = 0.0
    slow_seconds: float = 0.0
    errors: Mapping[int, float] = field(default_factory=dict)
    rate_limit: int | None = None
    retry_after: float | None = None
    expire_every: float | None = None
    refuse_sign_ins: Collection[str] = frozenset()
    reset_before: float = 0.0
    reset_midway: float = 0.0
    truncated: float = 0.0
    empty: float = 0.0
    html_errors: bool = False
    vary_types: bool = False
    overrides: Mapping[str, tuple[int, Any]] = field(default_factory=dict)
    only: Collection[str] | None = None

    def hits(self, endpoint: str) -> bool:
        """Return whether `only` includes an interface."""
        return self.only is None or endpoint in self.only


class Injector:
    """Decides, request by request, which of the faults strike.

    :param faults: the switches
    :param seed: makes the decisions repeatable
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._seed = seed
        self._draws: Counter[str] = Counter()
        self._window = 0
        self._in_window = 0
        self._expire_every: float | None = None
        self._last_expiry = 0.0

    def _draw(self, kind: str, endpoint: str) -> float:
        """Return the next number in [0, 1) of a repeatable sequence, one per fault and interface."""
        name = f"{kind} {endpoint}"
        self._draws[name] += 1
        return mix(self._seed ^ crc32(name.encode()), self._draws[name]) / 2**64

    def sessions_end(self) -> bool:
        """Return whether `expire_every` seconds have passed since the sessions last ended."""
        every, now = self.faults.expire_every, time.monotonic()
        if every != self._expire_every:
            # Count from the moment the switch was set, not from the start.
            self._expire_every, self._last_expiry = every, now
        if every is None or now - self._last_expiry < every:
            return False
        self._last_expiry = now
        return True

    def delay(self, endpoint: str) -> float:
        """Choose the seconds to wait before the request is handled."""
        faults = self.faults
        if not (faults.latency or faults.jitter or faults.slow_share) or not faults.hits(endpoint):
            return 0.0
        seconds = faults.latency
        if faults.jitter:
            seconds += faults.jitter * (2 * self._draw("jitter", endpoint) - 1)
        if faults.slow_share and self._draw("slow", endpoint) < faults.slow_share:
            seconds += faults.slow_seconds
        return max(0.0, seconds)

    def too_many(self) -> Reply | None:
        """Refuse a request above the rate limit. Windows are whole seconds of the monotonic clock."""
        limit = self.faults.rate_limit
        if limit is None:
            return None
        window = int(time.monotonic())
        if window != self._window:
            self._window, self._in_window = window, 0
        self._in_window += 1
        if self._in_window <= limit:
            return None
        reply = http_failure(429, "too many requests")
        if self.faults.retry_after is not None:
            reply.headers = {"Retry-After": f"{self.faults.retry_after:g}"}
        return reply

    def error(self, endpoint: str) -> Reply | None:
        """Choose an HTTP error in place of the reply."""
        errors = self.faults.errors
        if not errors or not self.faults.hits(endpoint):
            return None
        draw = self._draw("error", endpoint)
        for status, share in errors.items():
            if draw < share:
                return http_failure(status, "injected failure")
            draw -= share
        return None

    def resets_before(self, endpoint: str) -> bool:
        """Return whether the connection breaks before the reply."""
        return self._strikes("reset_before", self.faults.reset_before, endpoint)

    def resets_midway(self, endpoint: str) -> bool:
        """Return whether the connection breaks in the middle of the reply."""
        return self._strikes("reset_midway", self.faults.reset_midway, endpoint)

    def _strikes(self, kind: str, share: float, endpoint: str) -> bool:
        return bool(share) and self.faults.hits(endpoint) and self._draw(kind, endpoint) < share

    def override(self, account: str | None, reply: Reply) -> Reply:
        """Return the configured reply for an account, or the unchanged reply."""
        if account is None or account not in self.faults.overrides:
            return reply
        status, body = self.faults.overrides[account]
        if isinstance(body, bytes):
            return Reply(status, body)
        return Reply(status, body.encode() if isinstance(body, str) else encode(body))

    def spoil(self, endpoint: str, reply: Reply) -> None:
        """Change the body of a reply according to the switches."""
        faults = self.faults
        if not faults.hits(endpoint):
            return
        if faults.vary_types and reply.content_type == JSON_TYPE:
            reply.body = _with_other_types(reply.body)
        if faults.html_errors and reply.status >= 400:
            reply.body, reply.content_type = HTML_PAGE % reply.status, HTML_TYPE
        if self._strikes("truncated", faults.truncated, endpoint):
            reply.body = reply.body[: len(reply.body) // 2]
        if self._strikes("empty", faults.empty, endpoint):
            reply.body = b""


def _with_other_types(body: bytes) -> bytes:
    try:
        return encode(_other_type(json.loads(body)))
    except ValueError:
        # A configured reply need not be JSON.
        return body


def _other_type(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _other_type(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_other_type(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    # "007" or "000-003" would lose characters as numbers.
    if isinstance(value, str) and value.isdecimal() and str(int(value)) == value:
        return int(value)
    return value
