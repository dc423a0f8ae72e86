"""Gathers answers into batches and stores each while the next one fills."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import ParamSpec, TypeVar

from airflow_provider_cc.sync.answers import Answer, Store
from airflow_provider_cc.sync.counts import Counts

P = ParamSpec("P")
T = TypeVar("T")


class Batches:
    """The way into the store for all coroutines of a reader.

    At most two batches are unwritten at any time: when the next one is full before the last one is written,
    :meth:`room` holds up those who want to ask for more.

    :param store: where answers go
    :param size: answers in a batch
    :param spent: returns requests and sign-ins so far
    :param prepare: called with each batch before it is stored; returns what to store
    :param stored: called when a batch is stored; may raise to end the run
    """

    def __init__(
        self,
        store: Store,
        size: int,
        spent: Callable[[], Counts],
        prepare: Callable[[list[Answer]], Awaitable[list[Answer]]],
        stored: Callable[[], None],
    ) -> None:
        self._store = store
        self._size = size
        self._spent = spent
        self._prepare = prepare
        self._on_stored = stored
        self._new: deque[Answer] = deque()
        self._replacing: deque[Answer] = deque()
        self._writing = asyncio.Lock()
        self._one_call = asyncio.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._recorded = Counts()

    async def add(self, answers: Iterable[Answer], replacing: bool = False) -> None:
        """Take answers.

        :param answers: the answers
        :param replacing: whether their accounts may have answers in this run; then they have to be stored
        """
        (self._replacing if replacing else self._new).extend(answers)
        if len(self._new) + len(self._replacing) >= self._size:
            await self._write_full()

    async def _write_full(self) -> None:
        if self._writing.locked():
            self._room.clear()  # the one who writes sees to this batch next
            return
        async with self._writing:
            while len(self) >= self._size:
                await self._write()

    async def room(self) -> None:
        """Wait while two batches are unwritten."""
        if not self._room.is_set():
            await self._room.wait()

    async def flush(self) -> None:
        """Store what is left, and what was spent on it."""
        async with self._writing:
            while len(self):
                await self._write()
            spent = self._since_last()
            if spent != Counts():
                await self.call(self._store.append, (), spent)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the store in a thread, one at a time.

        :param function: the method
        """
        async with self._one_call:
            return await asyncio.to_thread(function, *args, **kwargs)

    def __len__(self) -> int:
        return len(self._new) + len(self._replacing)

    async def _write(self) -> None:
        waiting, store = (
            (self._new, self._store.append) if self._new else (self._replacing, self._store.replace)
        )
        batch = [waiting.popleft() for _ in range(min(self._size, len(waiting)))]
        if len(self) < self._size:
            self._room.set()
        batch = await self._prepare(batch)
        await self.call(store, batch, self._since_last())
        self._on_stored()

    def _since_last(self) -> Counts:
        spent, before = self._spent(), self._recorded
        self._recorded = spent
        return Counts(requests=spent.requests - before.requests, sign_ins=spent.sign_ins - before.sign_ins)
