"""Staging: stores each answer as it arrives, until the whole run is applied."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.exceptions import ErrorCode
from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import Database
from airflow_provider_cc.sync.ledger import Ledger
from airflow_provider_cc.sync.metrics import Stopwatch
from airflow_provider_cc.sync.schema import Tables

#: The endpoint of rejects whose answer the database cannot store.
WAREHOUSE = "warehouse"
#: Accounts looked up at a time: for each page, the database may scan all staged answers.
_PAGE = 50_000
#: Largest whole number of an INTEGER column.
_MAX_INTEGER = 2**31 - 1


class Staging:
    """The staged answers of one run.

    :param database: the warehouse
    :param tables: the tables
    :param run: the run's row in the run log
    :param delivered: the columns that the source returns, in the order of an answer's values
    """

    def __init__(self, database: Database, tables: Tables, run: Ledger, delivered: Sequence[str]) -> None:
        self._database = database
        self._stage = tables.stage
        self._agent = tables.agent
        self._run = run
        self._delivered = tuple(delivered)
        self._names = ("run_key", "account", "outcome", "read_at", "endpoint", "code", "message", *delivered)
        self._limits = [_limit(tables.agent.c[name].type) for name in delivered]
        self._encoding = database.transaction(database.dialect.encoding)
        #: Returns the timestamp of an answer that arrives now.
        self.now = run.now
        #: Tags of the metrics, and how long staging took.
        self.tags, self.clock = run.tags, Stopwatch()

    def append(self, answers: Sequence[Answer], spent: Counts, replaced: Collection[str] = ()) -> None:
        """Stage answers; an answer that the database cannot store is staged as a reject.

        :param answers: at most one for each account
        :param spent: requests, sign-ins and throttled seconds since the last batch
        :param replaced: accounts among them that may already have an answer, which is deleted
        :raises CCError: a later attempt has taken over the run
        """
        number = self._run.commits + 1
        rows = [self._row(answer) for answer in answers]
        stage = self._stage

        def work(connection: sa.engine.Connection) -> None:
            if self._run.hold(connection).commits == number:
                return  # an earlier attempt was committed; only its confirmation was lost
            if replaced:
                connection.execute(sa.delete(stage).where(self._is_mine(), stage.c.account.in_(replaced)))
            if rows:
                self._database.dialect.append(connection, stage, self._names, rows)
            self._run.staged(connection, number, spent)

        with self.clock:
            self._database.transaction(work)
        self._run.commits = number

    def staged(self) -> Iterator[tuple[str, str]]:
        """Iterate over the accounts that have an answer, each with its outcome."""
        query = sa.select(self._stage.c.account, self._stage.c.outcome).where(self._is_mine())
        yield from (tuple(row) for row in self._database.stream(query))

    def active_count(self) -> int:
        """Return how many rows are active."""
        query = sa.select(sa.func.count()).where(self._is_active())
        return int(self._database.transaction(lambda connection: connection.execute(query).scalar_one()))

    def active_among(self, accounts: Sequence[str]) -> set[str]:
        """Return those accounts that have an active row.

        :param accounts: at most a few thousand
        """
        query = sa.select(self._agent.c.account).where(
            self._is_active(), self._agent.c.account.in_(list(accounts))
        )
        return self._database.transaction(
            lambda connection: {account for (account,) in connection.execute(query)}
        )

    def not_seen(self) -> Iterator[str]:
        """Iterate over the accounts with an active row and no staged answer.

        Reads pages, with nothing open between them: on SQLite, a reader blocks writers.
        """
        agent, stage = self._agent, self._stage
        answered = sa.select(stage.c.account).where(self._is_mine(), stage.c.account == agent.c.account)
        query = sa.select(agent.c.account).where(self._is_active(), ~answered.exists())
        after: str | None = None

        def work(connection: sa.engine.Connection) -> list[str]:
            rest = query if after is None else query.where(agent.c.account > after)
            page = rest.order_by(agent.c.account).limit(_PAGE)
            return [account for (account,) in connection.execute(page)]

        while page := self._database.transaction(work):
            yield from page
            after = page[-1]

    def _is_active(self) -> Any:
        return sa.and_(self._agent.c.tenant == self._run.tenant, self._agent.c.is_active)

    def _is_mine(self) -> Any:
        return self._stage.c.run_key == self._run.run_key

    def _row(self, answer: Answer) -> tuple[Any, ...]:
        problem = self._problem(answer)
        if problem is not None:
            answer = Answer(
                answer.account, "reject", answer.read_at, (), WAREHOUSE, ErrorCode.CANNOT_HOLD, problem
            )
        texts = (answer.endpoint[:100], answer.code[:100], answer.message)
        values = answer.values or (None,) * len(self._delivered)
        account = answer.account
        if self._encoding is not None:
            account, *texts = (self._held(text) for text in (account, *texts))  # type: ignore[assignment]
        return (self._run.run_key, account[:250], answer.outcome, answer.read_at, *texts, *values)

    def _problem(self, answer: Answer) -> str | None:
        """Return why the database cannot store an answer, or ``None`` if it can."""
        if answer.outcome == "reject":
            return None
        for name, limit, value in zip(self._delivered, self._limits, answer.values, strict=False):
            if isinstance(value, str):
                if limit is not None and len(value) > limit:
                    return f"{name} has {len(value)} characters, but the column allows {limit}"
                if "\0" in value:
                    return f"{name} contains a NUL character, which databases do not accept"
            elif limit == _MAX_INTEGER and type(value) is int and not -limit <= value <= limit:
                return f"{name} is too large for the column"
        if self._encoding is not None:
            for name, value in (
                ("account", answer.account),
                *zip(self._delivered, answer.values, strict=False),
            ):
                if isinstance(value, str) and self._held(value) != value:
                    return f"{name} contains characters that the database's encoding, {self._encoding}, lacks"
        return None

    def _held(self, text: str) -> str:
        """Return a text in which characters that the database's encoding lacks are escaped."""
        encoding = self._encoding or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)


def _limit(kind: Any) -> int | None:
    """Return the maximum number of characters, or the maximum value, of a column."""
    if isinstance(kind, sa.Integer) and not isinstance(kind, sa.BigInteger):
        return _MAX_INTEGER
    return getattr(kind, "length", None)
