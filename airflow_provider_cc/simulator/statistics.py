"""What the simulator was asked, and how it answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

#: Counts replies that never, or only in part, arrived because the connection was reset.
RESET = 0


class RecordedRequest(NamedTuple):
    """One request, kept when `Settings.record` is set.

    :param endpoint: name of the interface, "unknown" for a path that does not exist
    :param method: HTTP method
    :param path: path as sent, with the query
    :param headers: request headers; names compare without regard to case
    :param json: decoded body; None when it is empty or not JSON
    """

    endpoint: str
    method: str
    path: str
    headers: Mapping[str, str]
    json: Any


class Statistics:
    """Counters since the start or the last `reset`. Written by the server's thread, readable from any.

    Systems are "management", "gateway" (configuration log-in), "agent" and "isales".

    :ivar statuses: replies per HTTP status, 0 for connections that were reset
    :ivar statuses_by_endpoint: the same per interface
    :ivar accounts: authenticated requests per account, when `Settings.count_accounts` is set
    :ivar sign_outs: agents that signed out themselves
    :ivar time_outs: agents signed out because they did not poll events
    :ivar max_concurrency: most requests that were being answered at one time
    :ivar recorded: requests in order of arrival, when `Settings.record` is set
    """

    def __init__(self) -> None:
        self.concurrency = 0
        self.reset()

    def reset(self) -> None:
        """Start counting anew."""
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
        """Count requests to one interface, or to all, including those refused or failed on purpose."""
        return sum(self._requests.values()) if endpoint is None else self._requests[endpoint]

    def sign_ins(self, system: str | None = None) -> int:
        """Count sign-ins that succeeded. Renewing an iSales token is none: see `requests("auth/refresh")`."""
        return sum(self._sign_ins.values()) if system is None else self._sign_ins[system]

    def refused(self, system: str | None = None) -> int:
        """Count sign-ins that were refused for their credentials or by `Faults.refuse_sign_ins`."""
        return sum(self._refused.values()) if system is None else self._refused[system]

    def count_request(self, endpoint: str) -> None:
        """Note that a request has arrived."""
        self._requests[endpoint] += 1
        self.concurrency += 1
        if self.concurrency > self.max_concurrency:
            self.max_concurrency = self.concurrency

    def count_reply(self, endpoint: str, status: int) -> None:
        """Note that its reply is on its way."""
        self.concurrency -= 1
        self.statuses[status] += 1
        if (by_endpoint := self.statuses_by_endpoint.get(endpoint)) is None:
            by_endpoint = self.statuses_by_endpoint[endpoint] = Counter()
        by_endpoint[status] += 1

    def count_sign_in(self, system: str, *, accepted: bool) -> None:
        """Note that somebody tried to sign in."""
        (self._sign_ins if accepted else self._refused)[system] += 1

    def as_dict(self) -> dict[str, Any]:
        """Give all counters, as the control interface shows them."""
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
