"""How fast a bulk run asks: as fast as it may, together slower when the server says so."""

from __future__ import annotations

import asyncio
import time
from collections import deque

#: After a refusal the pace falls to this share of what the server accepted in the second before. A refusal
#: costs a pause, so the pace stays there for `HOLD` seconds …
BACK_TO = 0.985
HOLD = 60.0
#: … and then rises by this share every `PROBE_EVERY` seconds without one, twice as much each time.
PROBE_BY = 0.02
PROBE_EVERY = 15.0
#: Seconds to pause when the server refuses without saying for how long.
DEFAULT_PAUSE = 1.0
#: Longest pause that a server can ask for, in seconds.
MAX_PAUSE = 60.0


class RateLimiter:
    """The common pace of all coroutines of a bulk run; belongs to one event loop.

    :param ceiling: most requests per second, or ``None``
    """

    def __init__(self, ceiling: float | None = None) -> None:
        self._ceiling = self._rate = float("inf") if ceiling is None else ceiling
        self._next = 0.0
        self._resume_at = 0.0
        self._too_fast = False
        self._probe_at = float("inf")
        self._step = PROBE_BY
        self._accepted: deque[float] = deque(maxlen=50_000)
        #: Whether a call has to ask for its turn at all.
        self.limits = ceiling is not None

    async def turn(self) -> None:
        """Wait until a request may be sent."""
        while True:
            pause = self._resume_at - time.monotonic()
            wait = self._place() if pause <= 0 else pause
            if wait > 0:
                await asyncio.sleep(wait)
            if pause <= 0 and time.monotonic() >= self._resume_at:
                return

    def accepted(self) -> None:
        """Note a request that the server did not refuse."""
        self._accepted.append(time.monotonic())

    def refused(self, retry_after: float | None) -> None:
        """Note that the server finds the pace too high: everybody pauses, then goes on more slowly.

        :param retry_after: seconds that the server asked for
        """
        pause = DEFAULT_PAUSE if retry_after is None else min(retry_after, MAX_PAUSE)
        self._resume_at = max(self._resume_at, time.monotonic() + pause)
        self._too_fast = self.limits = True

    def _place(self) -> float:
        """Take the next place in the row; return the seconds until it comes."""
        now = time.monotonic()
        if self._too_fast:
            self._slow_down(now)
        if now >= self._probe_at and self._rate != self._ceiling:
            self._rate = min(self._rate * (1 + self._step), self._ceiling)
            self._step *= 2
            self._probe_at = now + PROBE_EVERY
        place = max(self._next, now)
        self._next = place + 1 / self._rate
        return place - now

    def _slow_down(self, now: float) -> None:
        """Set the pace after a pause, when what had been under way before it is answered, too."""
        self._too_fast = False
        last = self._accepted[-1] if self._accepted else now
        in_last_second = sum(1 for moment in self._accepted if moment > last - 1.0)
        self._rate = min(max(1.0, in_last_second * BACK_TO), self._ceiling)
        self._next = now
        self._step = PROBE_BY
        self._probe_at = now + HOLD
