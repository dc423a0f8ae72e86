"""The directory, page by page, also while it changes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from airflow_provider_cc.api import management as api
from airflow_provider_cc.transfers.run import Run, too_few

log = logging.getLogger(__name__)

#: Lines on a page; what a centre accepts beyond 100 nobody says.
PAGE_SIZE = 100
#: Times that the directory is read when it changes while it is being read.
MAX_PASSES = 3

#: Takes a page; told whether it is of the first pass.
Take: TypeAlias = Callable[[api.DirectoryPage, bool], Awaitable[None]]


async def read_directory(run: Run, take: Take, least: float = 0.0) -> None:
    """Read the directory, again if it changed meanwhile: a line that moves to a page already read is missed.

    :param run: the run
    :param take: called with each page
    :param least: how many accounts the directory must list
    :raises CCError: it lists fewer; nothing has been taken then
    """
    for number in range(1, MAX_PASSES + 1):
        totals = await _read_pages(run, take, least, first_pass=number == 1)
        if len(totals) <= 1:
            return
        log.info("The directory changed while it was read (pass %d of %d).", number, MAX_PASSES)
    log.warning("The directory changed in every pass; what was missed comes with the next run.")


async def _read_pages(run: Run, take: Take, least: float, first_pass: bool) -> set[int]:
    """Read every page once; return the different totals that pages named."""
    first = await _page(run, 0)
    if first.total is None:
        await _read_until_empty(run, take, first, first_pass)
        return set()
    if first.total < least:
        raise too_few(first.total, least)
    totals = {first.total}
    await take(first, first_pass)
    numbers = iter(range(1, -(-first.total // PAGE_SIZE)))

    async def worker() -> None:
        for number in numbers:
            await run.writer.wait_for_room()
            page = await _page(run, number)
            totals.add(page.total or 0)
            await take(page, first_pass)

    await run.all(worker() for _ in range(run.concurrency))
    return totals


async def _read_until_empty(run: Run, take: Take, page: api.DirectoryPage, first_pass: bool) -> None:
    """Read a directory that does not say how long it is.

    :raises CCResponseError: it gives the same page again and again
    """
    number = 0
    while page.agents or page.unreadable:
        await take(page, first_pass)
        number += 1
        before, page = page, await _page(run, number)
        api.insist_on_progress(before, page)


async def _page(run: Run, number: int) -> api.DirectoryPage:
    return await run.client.call(api.query_directory(number, PAGE_SIZE))
