"""A run over the directory: whoever is listed is synced, whoever is listed no longer is closed."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.management import DirectoryAgent, DirectoryPage
from airflow_provider_cc.exceptions import CCBusinessError, ErrorCode
from airflow_provider_cc.transfers.difference import Reject
from airflow_provider_cc.transfers.pages import read_directory
from airflow_provider_cc.transfers.run import Run, too_few
from airflow_provider_cc.transfers.spool import BATCH, batches


async def sync_directory(run: Run, min_snapshot_ratio: float) -> None:
    """Read the directory, then close the rows of those that it no longer lists.

    :param run: the run
    :param min_snapshot_ratio: least share of the active rows that the directory must list
    :raises CCError: the run cannot go on, or the directory is too short
    """
    least = min_snapshot_ratio * await asyncio.to_thread(run.warehouse.active_count)

    async def take(page: DirectoryPage, first_pass: bool) -> None:
        await _take_page(run, page, first_pass)

    await read_directory(run, take, least)
    await run.writer.rest()
    if run.close_missing:
        if run.counts.unique < least:  # a directory that does not say how long it is
            raise too_few(run.counts.unique, least)
        await _close_unlisted(run)


async def _take_page(run: Run, page: DirectoryPage, first_pass: bool) -> None:
    agents = {agent.account: agent for agent in page.agents}
    broken = {account: error for account, error in page.unreadable if account not in agents}
    new, repeated = run.spool.meet([*agents, *broken])
    if first_pass:  # a further pass meets everybody again, on purpose
        repeated += len(page.agents) + len(page.unreadable) - len(agents) - len(broken)
        run.counts.requested += repeated
        run.counts.duplicates += repeated
    run.counts.requested += len(new)
    run.counts.unique += len(new)
    if page.total is not None:
        run.writer.expected = page.total
    for account in new.intersection(broken):
        error = broken[account]
        await run.writer.reject(Reject(account, error.endpoint, error.code, error.text))
    listed = [agent for account, agent in agents.items() if account in new]
    if run.passwords is None:  # nothing more to ask: the whole page at once
        rows = [
            (agent.account, run.reading.values((agent,))) for agent in listed if agent.agent_id is not None
        ]
        await run.writer.rows(rows)
        listed = [agent for agent in listed if agent.agent_id is None]
    for agent in listed:
        await run.handle(agent.account, _answers(run, agent))


async def _answers(run: Run, agent: DirectoryAgent) -> tuple[Any, ...]:
    if agent.agent_id is None:
        raise CCBusinessError(
            api.DIRECTORY.name, ErrorCode.NO_AGENT, "the directory lists it without an agent ID"
        )
    if run.passwords is not None:
        return await run.login_params(agent.account), agent
    return (agent,)


async def _close_unlisted(run: Run) -> None:
    """Ask once more, one by one, for each active account that no page listed; errors close nothing."""
    # Not beyond a chunk: so much, and no more, is asked for again after a kill.
    for batch in batches(run.warehouse.not_seen(), min(BATCH, run.chunk_size)):
        accounts = iter(run.spool.unknown(batch))

        async def worker(accounts: Any = accounts) -> None:
            for account in accounts:
                await run.writer.wait_for_room()
                await _look_for(run, account)

        await run.all(worker() for _ in range(run.concurrency))
        await run.writer.rest()


async def _look_for(run: Run, account: str) -> None:
    if not run.close_missing:
        return
    found = await run.look_up(account)
    if found is None:
        return
    if not found:
        run.writer.gone(account)
        return
    run.spool.meet([account])
    run.counts.requested += 1
    run.counts.unique += 1
    await run.handle(account, _answers(run, found[0]))
