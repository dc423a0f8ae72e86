"""Collects answers into batches and stages each batch while the next one fills."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import ParamSpec, TypeVar

from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.counts import SPENT, Counts
from airflow_provider_cc.sync.stage import Staging

P = ParamSpec("P")
T = TypeVar("T")


class Batches:
    """Stages the answers of all coroutines of a reader.

    At most two batches are unwritten at any time: if the next batch is full before the previous one is
    written, :meth:`room` makes callers wait before they query more.

    :param staging: where answers are staged
    :param size: answers per batch
    :param spent: returns requests, sign-ins and throttled seconds so far
    :param prepare: called with each batch before it is staged; returns the answers to stage
    :param staged: called when a batch is staged; may raise an exception to end the run
    """

    def __init__(
        self,
        staging: Staging,
        size: int,
        spent: Callable[[], Counts],
        prepare: Callable[[list[Answer]], Awaitable[list[Answer]]],
        staged: Callable[[], None],
    ) -> None:
        self._staging = staging
        self._size = size
        self._spent = spent
        self._prepare = prepare
        self._on_staged = staged
        self._waiting: deque[Answer] = deque()
        self._replaced: set[str] = set()  # accounts among them that may have an answer in this run
        self._writing = asyncio.Lock()
        self._one_call = asyncio.Lock()
        self._room = asyncio.Event()
        self._recorded = Counts()

    def add(self, answers: Sequence[Answer], replacing: bool = False) -> None:
        """Add answers.

        :param answers: the answers
        :param replacing: whether their accounts may have an answer in this run
        """
        self._waiting.extend(answers)
        if replacing:
            self._replaced.update(answer.account for answer in answers)

    @property
    def is_full(self) -> bool:
        """Whether :meth:`room` must be awaited before the next query."""
        return len(self._waiting) >= self._size

    async def room(self) -> None:
        """Stage a full batch; wait if another one is being staged."""
        while self.is_full:
            if self._writing.locked():
                self._room.clear()
                await self._room.wait()
            else:
                async with self._writing:
                    await self._write()

    async def flush(self) -> None:
        """Stage the remaining answers, and record what was spent on them."""
        async with self._writing:
            while self._waiting:
                await self._write()
            spent = self._since_last()
            if spent != Counts():
                await self.call(self._staging.append, (), spent)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method that uses the database, in a thread and one at a time.

        :param function: the method
        """
        async with self._one_call:
            return await asyncio.to_thread(function, *args, **kwargs)

    async def _write(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
        replaced = self._replaced.intersection(answer.account for answer in batch) if self._replaced else ()
        self._replaced.difference_update(replaced)
        if not self.is_full:
            self._room.set()
        batch = await self._prepare(batch)
        await self.call(self._staging.append, batch, self._since_last(), replaced)
        self._on_staged()

    def _since_last(self) -> Counts:
        spent, before = self._spent(), self._recorded
        self._recorded = spent
        return Counts(**{name: getattr(spent, name) - getattr(before, name) for name in SPENT})
