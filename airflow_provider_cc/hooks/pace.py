"""How fast a bulk run asks: as fast as it may, together slower when the server says so."""

from __future__ import annotations

import asyncio
import time
from collections import deque

#: After a refusal the pace falls to this share of what the server had just accepted in a second …
BACK_TO = 0.98
#: … and rises by this share every `PROBE_EVERY` seconds without one, twice as much each time.
PROBE_BY = 0.01
PROBE_EVERY = 15.0
#: Seconds to pause when the server refuses without saying for how long.
DEFAULT_PAUSE = 1.0
#: Longest pause that a server can ask for, in seconds.
MAX_PAUSE = 60.0


class Pace:
    """The common pace of all coroutines of a bulk run; belongs to one event loop.

    :param ceiling: most requests per second, or ``None``
    """

    def __init__(self, ceiling: float | None = None) -> None:
        self._ceiling = ceiling
        self._rate = ceiling
        self._next = 0.0
        self._resume_at = 0.0
        self._raised_at = 0.0
        self._step = PROBE_BY
        self._accepted: deque[float] = deque(maxlen=50_000)
        #: Whether a call has to ask for its turn at all.
        self.limits = ceiling is not None

    async def turn(self) -> None:
        """Wait until a request may be sent."""
        while (wait := self._slot()) > 0:
            await asyncio.sleep(wait)
            if time.monotonic() >= self._resume_at:
                return

    def accepted(self) -> None:
        """Note a request that the server did not refuse."""
        self._accepted.append(time.monotonic())

    def refused(self, retry_after: float | None) -> None:
        """Note that the server finds the pace too high: everybody pauses, then goes on more slowly.

        :param retry_after: seconds that the server asked for
        """
        now = time.monotonic()
        pause = DEFAULT_PAUSE if retry_after is None else min(retry_after, MAX_PAUSE)
        if now < self._resume_at:  # requests that were under way when the pause began
            self._resume_at = max(self._resume_at, now + pause)
            return
        in_last_second = sum(1 for moment in self._accepted if moment > now - 1.0)
        self._rate = max(1.0, in_last_second * BACK_TO)
        self._resume_at = now + pause
        self._next = self._raised_at = self._resume_at
        self._step = PROBE_BY
        self.limits = True

    def _slot(self) -> float:
        """Take the next place in the row; return the seconds until it comes."""
        now = time.monotonic()
        if self._rate is None:
            return self._resume_at - now
        if now - self._raised_at > PROBE_EVERY and self._rate != self._ceiling:
            self._rate *= 1 + self._step
            if self._ceiling is not None:
                self._rate = min(self._rate, self._ceiling)
            self._step *= 2
            self._raised_at = now
        slot = max(self._next, now)
        self._next = slot + 1 / self._rate
        return slot - now
