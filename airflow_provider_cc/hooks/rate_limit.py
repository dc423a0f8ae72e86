"""How fast a bulk run sends: as fast as the server accepts, and no faster than the connection allows.

Several runs against one limit share it without knowing of each other: each steps back when it is refused, and
faster runs are refused more often. It soon returns to the rate that was refused last, stays near it, and then
tries more, at first carefully: the curve of CUBIC (RFC 9438), which the adaptive retries of AWS use, too.
"""

from __future__ import annotations

import asyncio
import math
import time

#: After a refusal the rate falls by this share of the refused one; after the first, which is only estimated.
DROP = 0.1
FIRST_DROP = 0.5
#: If the rate was clearly below what was refused before, another run takes part: so much more is left to it.
CLEARLY_BELOW = 0.97
YIELD = 0.05
#: Every further refusal in the same second lowers the refused rate: by so many requests a second, but by no
#: more than this share, since slow runs are not the cause.
TOO_MANY, AT_MOST = 3.0, 0.1
#: Seconds in which the rate doubles, once it is what was refused and nothing is refused again.
DOUBLES_IN = 5.0
#: Lowest first estimate, in requests a second: a run that starts beside others may be refused at once.
FIRST_RATE = 10.0
#: Seconds by which waiting calls may be late and still catch up, since no timer is exact.
CATCH_UP = 0.05
#: Seconds to pause when the server refuses without saying for how long, and longest pause it can ask for.
DEFAULT_PAUSE, MAX_PAUSE = 1.0, 60.0


class RateLimiter:
    """The common pace of all coroutines of a bulk run; belongs to one event loop.

    :param ceiling: most requests per second, or ``None``
    """

    def __init__(self, ceiling: float | None = None) -> None:
        self._ceiling = math.inf if ceiling is None else ceiling
        self._queue = asyncio.Lock()
        self._next = self._resume_at = 0.0
        self._accepted = 0
        self._began = self._accepted_at = time.monotonic()
        #: The rate that was refused last, how far the pace fell below it, and when.
        self._refused_rate, self._lowest = math.inf, 0.0
        self._drop = FIRST_DROP
        self._dropped_at = 0.0
        #: Whether a call has to wait for its turn at all.
        self.limits = ceiling is not None

    async def turn(self) -> None:
        """Wait until a request may be sent."""
        late = CATCH_UP if self._queue.locked() else 0.0
        async with self._queue:
            while (wait := max(self._next, self._resume_at) - time.monotonic()) > 0:
                await asyncio.sleep(wait)
                late = CATCH_UP
            now = time.monotonic()
            # A rate that nobody used is not known to be accepted: the curve stands still meanwhile.
            unused = max(0.0, now - late - self._next)
            self._dropped_at += unused
            self._next += unused + 1 / self._rate(now)

    def accepted(self) -> None:
        """Note a request that the server did not refuse."""
        self._accepted += 1
        self._accepted_at = time.monotonic()

    def refused(self, retry_after: float | None) -> None:
        """Note a request that the server refused: all go on more slowly.

        The refused call itself waits as long as the server asks. All others do so, too, at the first refusal,
        if that is more than the second for which rates are counted, or if nothing was accepted for a second.

        :param retry_after: seconds that the server asked for
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
