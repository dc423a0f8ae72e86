"""Rate of a bulk run: as fast as the server accepts, and no faster than the connection allows.

Several runs share one limit without coordination: each slows down when it is rejected, and faster runs are
rejected more often. A run soon returns to the rate that was last rejected, stays near it, and then tries
higher rates, cautiously at first: the curve of CUBIC (RFC 9438), which AWS also uses for adaptive retries.
"""

from __future__ import annotations

import asyncio
import math
import time

#: Share by which the rate falls below the rejected one; after the first rejection, whose rate is an estimate.
DROP = 0.1
FIRST_DROP = 0.5
#: If the rate was clearly below the last rejected one, another run shares the limit: leave it this much more.
CLEARLY_BELOW = 0.97
YIELD = 0.05
#: Every further rejection in the same second lowers the rejected rate by this many requests per second, but
#: by no more than this share, since slow runs are not the cause.
TOO_MANY, AT_MOST = 3.0, 0.1
#: Seconds in which the rate doubles, once it has reached the rejected rate and nothing is rejected again.
DOUBLES_IN = 5.0
#: Lowest first estimate, in requests per second: a run that starts while others run may be rejected at once.
FIRST_RATE = 10.0
#: Seconds by which waiting calls may be late and still catch up, since timers are inexact.
CATCH_UP = 0.05
#: Seconds to pause when the server rejects a call without a Retry-After, and the longest pause it can
#: request.
DEFAULT_PAUSE, MAX_PAUSE = 1.0, 60.0


class RateLimiter:
    """The rate limit for all coroutines of a bulk run; belongs to one event loop.

    :param ceiling: maximum requests per second, or ``None``
    """

    def __init__(self, ceiling: float | None = None) -> None:
        self._ceiling = math.inf if ceiling is None else ceiling
        self._queue = asyncio.Lock()
        self._next = self._resume_at = 0.0
        self._accepted = 0
        self._began = self._accepted_at = time.monotonic()
        #: The last rejected rate, how far the rate fell below it, and when.
        self._refused_rate, self._lowest = math.inf, 0.0
        self._drop = FIRST_DROP
        self._dropped_at = 0.0
        #: Whether calls have to wait for their turn.
        self.limits = ceiling is not None

    async def turn(self) -> None:
        """Wait until a request may be sent."""
        late = CATCH_UP if self._queue.locked() else 0.0
        async with self._queue:
            while (wait := max(self._next, self._resume_at) - time.monotonic()) > 0:
                await asyncio.sleep(wait)
                late = CATCH_UP
            now = time.monotonic()
            # It is unknown whether an unused rate would be accepted, so the curve does not advance.
            unused = max(0.0, now - late - self._next)
            self._dropped_at += unused
            self._next += unused + 1 / self._rate(now)

    def accepted(self) -> None:
        """Record a request that the server accepted."""
        self._accepted += 1
        self._accepted_at = time.monotonic()

    def refused(self, retry_after: float | None) -> None:
        """Record a request that the server rejected, and slow down.

        The rejected call waits as long as the server requests. All other calls also wait at the first
        rejection, if the server requests more than one second (the unit of rates), or if nothing was accepted
        for a second.

        :param retry_after: seconds that the server requested
        """
        now = time.monotonic()
        pause = DEFAULT_PAUSE if retry_after is None else min(retry_after, MAX_PAUSE)
        if pause > 1.0 or self._refused_rate == math.inf or now > self._accepted_at + 1.0:
            self._resume_at = max(self._resume_at, now + pause)
        if self._refused_rate == math.inf:
            self._refused_rate = max(FIRST_RATE, self._accepted / max(1.0, now - self._began))
            self._lowest, self._next, self._dropped_at = self._refused_rate, now, now
        elif now > max(self._dropped_at + 1.0, self._resume_at):
            rate = self._rate(now)
            self._refused_rate = rate * (1 - YIELD) if rate < CLEARLY_BELOW * self._refused_rate else rate
            self._drop, self._lowest, self._dropped_at = DROP, rate / 2, now
        else:
            less = min(TOO_MANY, AT_MOST * self._refused_rate)
            self._refused_rate = max(self._lowest, self._refused_rate - less)
        self.limits = True

    def _rate(self, now: float) -> float:
        """Return the requests per second that may be sent now."""
        if self._refused_rate == math.inf:
            return self._ceiling
        beyond = (now - self._dropped_at) / DOUBLES_IN - math.cbrt(self._drop)
        return min(max(1.0, self._refused_rate * (1 + beyond**3)), self._ceiling)
