"""A store in memory, and one attempt to read into it; the contact center is a real server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync.answers import GONE, ROW, Answer
from airflow_provider_cc.sync.columns import AGENT_COLUMNS
from airflow_provider_cc.sync.counts import SPENT, Counts
from airflow_provider_cc.sync.metrics import Stopwatch, tags
from airflow_provider_cc.sync.questions import reading_for
from airflow_provider_cc.sync.reader import Reader
from airflow_provider_cc.sync.sources import spool_codes
from airflow_provider_cc.sync.spool import Spool

#: Starts a contact center over TLS and tells Airflow of it.
Start = Callable[..., Simulator]

DIRECTORY, INFO, TOKEN = "agentAccount/query", "queryAgentInfoByAccount", "tokenByAkSk"


@dataclass
class MemoryStore:
    """Keeps answers, and the accounts that have an active row."""

    active: set[str] = field(default_factory=set)
    answers: dict[str, Answer] = field(default_factory=dict)
    #: Accounts of each batch.
    batches: list[list[str]] = field(default_factory=list)
    #: Accounts that were said to have an answer already.
    replaced: set[str] = field(default_factory=set)
    spent: Counts = field(default_factory=Counts)
    #: The batch in whose place the attempt ends.
    dies_at: int | None = None

    def __post_init__(self) -> None:
        self._busy = threading.Lock()
        self.tags, self.clock = tags("dag", "sync", "tenant"), Stopwatch()

    def append(self, answers: Sequence[Answer], spent: Counts, replaced: Collection[str] = ()) -> None:
        accounts = [answer.account for answer in answers]
        assert self.answers.keys().isdisjoint(set(accounts).difference(replaced))
        with self._alone():
            if len(self.batches) == self.dies_at:
                raise ConnectionAbortedError
            self.batches.append(accounts)
            self.replaced.update(replaced)
            self.answers |= {answer.account: answer for answer in answers}
            self.spent = Counts(**{name: getattr(self.spent, name) + getattr(spent, name) for name in SPENT})

    def active_among(self, accounts: Sequence[str]) -> set[str]:
        with self._alone():
            return self.active.intersection(accounts)

    def active_count(self) -> int:
        with self._alone():
            return len(self.active)

    def not_seen(self) -> Iterator[str]:
        last = ""
        while True:
            with self._alone():
                page = sorted(a for a in self.active - self.answers.keys() if a > last)[:7]
            if not page:
                return
            yield from page
            last = page[-1]

    def now(self) -> datetime:
        return datetime.now(UTC)

    def outcomes(self, outcome: str) -> set[str]:
        return {answer.account for answer in self.answers.values() if answer.outcome == outcome}

    @property
    def rows(self) -> dict[str, tuple[Any, ...]]:
        return {a.account: a.values for a in self.answers.values() if a.outcome == ROW}

    @property
    def rejects(self) -> dict[str, tuple[str, str]]:
        return {a.account: (a.endpoint, a.code) for a in self.answers.values() if a.code}

    def apply(self) -> None:
        """End a run."""
        self.active = (self.active | self.outcomes(ROW)) - self.outcomes(GONE)
        self.answers, self.batches, self.replaced, self.spent = {}, [], set(), Counts()

    def staged(self) -> list[tuple[str, str]]:
        return [(answer.account, answer.outcome) for answer in self.answers.values()]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Insist on one call at a time, outside the event loop."""
        assert threading.current_thread() is not threading.main_thread()
        assert self._busy.acquire(blocking=False)
        try:
            yield
        finally:
            self._busy.release()


def read(
    store: MemoryStore,
    codes: Iterable[Any] | None = None,
    staged: Iterable[tuple[str, str]] = (),
    softphones: str = "directory",
    **arguments: Any,
) -> Counts:
    """Make one attempt; return its counts."""
    reading = reading_for(AGENT_COLUMNS, codes is None, softphones)
    with Spool() as spool:
        reader = Reader(
            CCManagementHook(), store, spool, reading, codes is None, softphones=softphones, **arguments
        )
        reader.load(None if codes is None else spool_codes(codes, spool), staged)
        asyncio.run(reader.read())
    assert reader.counts.requests == store.spent.requests
    return reader.counts


def connect(monkeypatch: pytest.MonkeyPatch, center: Simulator, **extra: Any) -> None:
    """Give the connection further extras."""
    connection = center.connections()["cc_management_default"]
    connection["extra"] |= extra
    monkeypatch.setenv("AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT", json.dumps(connection))
