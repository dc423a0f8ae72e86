"""Gathers answers into chunks and writes each while the next one fills."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.transfers.counts import Counts
from airflow_provider_cc.transfers.difference import Chunk, Reject, Row
from airflow_provider_cc.transfers.warehouse import Warehouse

log = logging.getLogger(__name__)

#: Seconds between two log lines on the progress.
LOG_EVERY = 10.0


class ChunkWriter:
    """The way into the warehouse for all coroutines of a run.

    At most two chunks are unwritten at any time: when the next one is full before the last one is written,
    :meth:`wait_for_room` holds up whoever wants to ask for more.

    :param warehouse: writes
    :param counts: the books
    :param chunk_size: accounts in a chunk
    :param max_rejects: number of rejects, or share of all accounts if a float, beyond which the run fails
    :param spent: returns requests and sign-ins of this try so far
    :param look_closer: called with each chunk before it is written
    """

    def __init__(
        self,
        warehouse: Warehouse,
        counts: Counts,
        chunk_size: int,
        max_rejects: float,
        spent: Callable[[], Counts],
        look_closer: Callable[[Chunk], Awaitable[None]],
    ) -> None:
        self._warehouse = warehouse
        self._counts = counts
        self._chunk_size = chunk_size
        self._max_rejects = max_rejects
        self._spent = spent
        self._look_closer = look_closer
        #: How many accounts there will be, as far as that is known.
        self.expected = counts.unique
        self._chunk = Chunk()
        self._writing = asyncio.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._entered = Counts()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._begun = self._logged = time.monotonic()
        self._finished_before = counts.synced + counts.rejected

    async def row(self, account: str, values: tuple[Any, ...]) -> None:
        """Take an account that was read.

        :param account: sign-in account
        :param values: of the delivered columns
        """
        self._chunk.rows.append((account, values))
        if len(self._chunk) >= self._chunk_size:
            await self._write_full_chunks()

    async def rows(self, rows: Iterable[Row]) -> None:
        """Take accounts that were read.

        :param rows: each with the values of its delivered columns
        """
        self._chunk.rows.extend(rows)
        if len(self._chunk) >= self._chunk_size:
            await self._write_full_chunks()

    async def reject(self, reject: Reject) -> None:
        """Take an account that could not be read."""
        self._chunk.rejects.append(reject)
        self._reasons[reject.endpoint, reject.code] += 1
        if len(self._chunk) >= self._chunk_size:
            await self._write_full_chunks()

    def gone(self, account: str) -> None:
        """Take an account that the directory no longer knows; written with the next chunk."""
        self._chunk.gone.append(account)

    async def wait_for_room(self) -> None:
        """Wait while two chunks are unwritten."""
        if not self._room.is_set():
            await self._room.wait()

    async def rest(self) -> None:
        """Write what is left."""
        async with self._writing:
            while len(self._chunk) or self._chunk.gone:
                await self._write()

    def log_rejects(self) -> None:
        """Log how many accounts were rejected, by endpoint and code; never which."""
        for (endpoint, code), count in self._reasons.most_common(20):
            log.warning("%d accounts rejected: %s: %s", count, endpoint, code)

    async def _write_full_chunks(self) -> None:
        if self._writing.locked():
            self._room.clear()  # whoever writes sees to this chunk next
            return
        async with self._writing:
            while len(self._chunk) >= self._chunk_size:
                await self._write()

    async def _write(self) -> None:
        chunk = self._next_chunk()
        if len(self._chunk) < self._chunk_size:
            self._room.set()
        await self._look_closer(chunk)
        spent = self._spent()
        since = Counts(
            requests=spent.requests - self._entered.requests, sign_ins=spent.sign_ins - self._entered.sign_ins
        )
        await self._commit(chunk, since)
        self._entered = spent
        self.check_rejects()
        self._log_progress()

    def _next_chunk(self) -> Chunk:
        """Take a chunk, and no more: by as much as waits longer, more would be asked again after a kill."""
        waiting, size = self._chunk, self._chunk_size
        if len(waiting) <= size:
            self._chunk = Chunk()
            return waiting
        left = max(0, size - len(waiting.rows))
        self._chunk = Chunk(waiting.rows[size:], waiting.rejects[left:])
        return Chunk(waiting.rows[:size], waiting.rejects[:left], waiting.gone)

    async def _commit(self, chunk: Chunk, since: Counts) -> None:
        writing = asyncio.ensure_future(asyncio.to_thread(self._warehouse.write, chunk, since))
        try:
            await asyncio.wait({writing})
        finally:
            # A failure elsewhere cannot call it back, so the books wait for what becomes of it.
            self._counts.add(await writing)

    def check_rejects(self) -> None:
        """Insist that not too many accounts were rejected.

        :raises CCError: more than ``max_rejects``
        """
        rejected, share = self._counts.rejected, self._max_rejects
        most = share * max(self.expected, self._counts.unique) if type(share) is float else share
        if rejected > most:
            self.log_rejects()
            raise CCError(f"{rejected} accounts rejected, more than max_rejects={share} allows")

    def _log_progress(self) -> None:
        now = time.monotonic()
        if now - self._logged < LOG_EVERY:
            return
        self._logged = now
        counts = self._counts
        done = counts.synced + counts.rejected
        total = max(self.expected, counts.unique)
        rate = (done - self._finished_before) / (now - self._begun)
        left = (total - done) / rate if rate else 0.0
        log.info(
            "%d of %d accounts, %.0f a second, %d rejected, %.0f s left.",
            done,
            total,
            rate,
            counts.rejected,
            left,
        )
