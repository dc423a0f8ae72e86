"""Reads the pages of the directory, with as many concurrent requests as the connection allows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from airflow_provider_cc.api.directory import Ask, Directory, Found
from airflow_provider_cc.exceptions import CCBusinessError, CCResponseError
from airflow_provider_cc.hooks.transport import BulkClient
from airflow_provider_cc.sync import spool as states
from airflow_provider_cc.sync.spool import Spool

#: Processes the new information on a page.
Take = Callable[[Found], Awaitable[None]]


async def _at_once() -> None:
    pass


@dataclass
class Pages:
    """The directory of a contact center.

    :param client: client of the contact center
    :param spool: stores the entries
    :param page_size: entries to request per page
    :param concurrency: number of pages requested at a time
    :param room: waits before a page is requested
    """

    client: BulkClient
    spool: Spool
    page_size: int
    concurrency: int
    room: Callable[[], Awaitable[None]] = _at_once

    async def read_all(self, take: Take | None = None) -> int:
        """Read the whole directory; return the number of repeated entries.

        :param take: processes a page; by default, contradictory entries are marked as unsettled
        :raises CCError: it cannot be read, or not completely
        """
        directory = Directory(self.page_size, seen=self.spool)
        await self._read(directory, take or self._unsettle)
        directory.check()
        return directory.duplicates

    async def read_for_list(self) -> None:
        """Read the entries of the accounts in the spool, as far as this saves requests.

        :raises CCError: a page cannot be read
        """
        missing = self.spool.count(states.WAITING)
        directory = Directory(self.page_size, seen=self.spool, passes=1)

        async def take(found: Found) -> None:
            nonlocal missing
            known = self.spool.states([line.account for line in found.new])
            missing -= sum(state == states.WAITING for state in known.values())
            await self._unsettle(found)

        await self._read(directory, take, lambda: missing <= directory.pages_left)

    async def _unsettle(self, found: Found) -> None:
        for line, _before in found.conflicting:
            self.spool.unsettle(line.account)

    async def _read(
        self, directory: Directory, take: Take, enough: Callable[[], bool] = lambda: False
    ) -> None:
        async def ask_for(ask: Ask) -> None:
            await self.room()
            try:
                reply = await self.client.call(ask.call)
            except (CCBusinessError, CCResponseError) as error:
                directory.refuse(ask, error)
                return
            await take(directory.take(ask, reply))

        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                while not enough() and len(tasks) < self.concurrency and (ask := directory.next()):
                    tasks.add(asyncio.create_task(ask_for(ask)))
                if not tasks:
                    return
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
