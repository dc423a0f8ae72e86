"""A run over a list of accounts: each is asked for by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.management import DirectoryAgent, DirectoryPage
from airflow_provider_cc.exceptions import CCResponseError
from airflow_provider_cc.transfers.pages import read_directory
from airflow_provider_cc.transfers.run import Run


class _Unreadable(msgspec.Struct, tag=True):
    """A line of the directory that could not be read."""

    endpoint: str
    code: str
    text: str


class _Line(msgspec.Struct, tag=True):
    """One that could."""

    agent: DirectoryAgent


async def sync_accounts(run: Run, softphones_from_directory: bool) -> None:
    """Ask for every account of the spool.

    :param run: the run
    :param softphones_from_directory: read the directory first, for the softphone numbers
    :raises CCError: the run cannot go on
    """
    if softphones_from_directory and run.counts.unique > run.counts.rejected:

        async def keep(page: DirectoryPage, first_pass: bool) -> None:
            run.spool.add_answers(_kept(page))

        await read_directory(run, keep)
    waiting = run.spool.waiting()

    async def worker() -> None:
        for account in waiting:
            await run.writer.wait_for_room()
            await run.handle(account, _answers(run, account, softphones_from_directory))

    await run.all(worker() for _ in range(run.concurrency))
    await run.writer.rest()


async def _answers(run: Run, account: str, with_directory: bool) -> tuple[Any, ...]:
    info = await run.client.call(api.query_agent_info(account))
    if with_directory:
        return info, await _directory_line(run, account)
    if run.passwords is not None:
        return info, await run.login_params(account)
    return (info,)


def _kept(page: DirectoryPage) -> Iterator[tuple[str, bytes]]:
    for agent in page.agents:
        yield agent.account, msgspec.json.encode(_Line(agent))
    for account, error in page.unreadable:
        yield account, msgspec.json.encode(_Unreadable(error.endpoint, error.code, error.text))


async def _directory_line(run: Run, account: str) -> DirectoryAgent:
    kept = run.spool.answer(account)
    if kept is None:
        # Perhaps its line moved, while the pages were read, to one that was read before: asked by itself.
        found = await run.client.call(api.query_directory_account(account))
        return found[0] if found else DirectoryAgent(account, None, None, None)
    line: _Line | _Unreadable = msgspec.json.decode(kept, type=_Line | _Unreadable)
    if isinstance(line, _Unreadable):
        raise CCResponseError(line.endpoint, line.code, line.text)
    return line.agent
