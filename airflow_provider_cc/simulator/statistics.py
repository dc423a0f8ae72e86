"""Statistics of requests and replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

#: Status of replies that were lost, completely or in part, because the connection was reset.
RESET = 0


class RecordedRequest(NamedTuple):
    """One request, recorded if `Settings.record` is set.

    :param endpoint: name of the interface, "unknown" for a path that does not exist
    :param method: HTTP method
    :param path: path as sent, with the query
    :param headers: request headers; names are case-insensitive
    :param json: decoded body; None if it is empty or not JSON
    """

    endpoint: str
    method: str
    path: str
    headers: Mapping[str, str]
    json: Any


class Statistics:
    """Counters since the start or the last `reset`. Written by the server's thread, readable from any.

    Systems are "management", "gateway" (configuration sign-in), "agent" and "isales".

    :ivar statuses: replies per HTTP status, 0 for connections that were reset
    :ivar statuses_by_endpoint: the same per interface
    :ivar accounts: authenticated requests per account, if `Settings.count_accounts` is set
    :ivar sign_outs: agents that signed out themselves
    :ivar time_outs: agents signed out because they did not poll events
    :ivar max_concurrency: maximum number of concurrent requests
    :ivar recorded: requests in order of arrival, if `Settings.record` is set
    """

    def __init__(self) -> None:
        self.concurrency = 0
        self.reset()

    def reset(self) -> None:
        """Reset all counters."""
        self._requests: Counter[str] = Counter()
        self._sign_ins: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.statuses_by_endpoint: dict[str, Counter[int]] = {}
        self.accounts: Counter[str] = Counter()
        self.sign_outs = 0
        self.time_outs = 0
        self.max_concurrency = self.concurrency
        self.recorded: list[RecordedRequest] = []

    def requests(self, endpoint: str | None = None) -> int:
        """Return the number of requests to one interface or to all, including rejected and failed ones."""
        return sum(self._requests.values()) if endpoint is None else self._requests[endpoint]

    def sign_ins(self, system: str | None = None) -> int:
        """Return the number of successful sign-ins. For iSales refreshes, see `requests("auth/refresh")`."""
        return sum(self._sign_ins.values()) if system is None else self._sign_ins[system]

    def refused(self, system: str | None = None) -> int:
        """Return the number of sign-ins rejected for their credentials or by `Faults.refuse_sign_ins`."""
        return sum(self._refused.values()) if system is None else self._refused[system]

    def count_request(self, endpoint: str) -> None:
        """Count a request."""
        self._requests[endpoint] += 1
        self.concurrency += 1
        if self.concurrency > self.max_concurrency:
            self.max_concurrency = self.concurrency

    def count_reply(self, endpoint: str, status: int) -> None:
        """Count its reply."""
        self.concurrency -= 1
        self.statuses[status] += 1
        if (by_endpoint := self.statuses_by_endpoint.get(endpoint)) is None:
            by_endpoint = self.statuses_by_endpoint[endpoint] = Counter()
        by_endpoint[status] += 1

    def count_sign_in(self, system: str, *, accepted: bool) -> None:
        """Count a sign-in."""
        (self._sign_ins if accepted else self._refused)[system] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return all counters in the format of the control interface."""
        return {
            "requests": dict(self._requests),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "statuses_by_endpoint": {
                endpoint: {str(status): count for status, count in counts.items()}
                for endpoint, counts in self.statuses_by_endpoint.items()
            },
            "sign_ins": dict(self._sign_ins),
            "refused": dict(self._refused),
            "sign_outs": self.sign_outs,
            "time_outs": self.time_outs,
            "accounts": dict(self.accounts),
            "max_concurrency": self.max_concurrency,
            "recorded": [
                {**request._asdict(), "headers": dict(request.headers)} for request in list(self.recorded)
            ],
        }
