"""A run that several tasks share: one prepares it, several read a shard of the accounts each, one applies it.

They share the row in the run log and the staging table. In staging, each shard has its own keys: for pages of
the accounts to read, and for its answers. The run also has a key for one row per shard with its state. So no
account data goes through Airflow, and no tables are needed beyond those for a single task.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any
from zlib import crc32

import msgspec
import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.sync.counts import SPENT, Counts
from airflow_provider_cc.sync.database import Database
from airflow_provider_cc.sync.ledger import MAX_AGE, TAKEN_OVER, Ledger
from airflow_provider_cc.sync.schema import COUNT_COLUMNS, Tables
from airflow_provider_cc.sync.spool import BAD, Spool, batches

#: Characters per page of accounts: MySQL's TEXT can store 65,535 bytes.
_PAGE = 50_000
#: Pages written at a time.
_AT_A_TIME = 20
#: Kinds of staged data, part of a key: answers, pages of accounts, or states.
_ANSWERS, _PAGES, _STATES = "a", "p", "s"
#: In place of a shard's number: the state of the task that prepares.
_PREPARED = -1
_NAMES = ("run_key", "account", "outcome", "read_at", "endpoint", "code", "message")


def shard_of(account: str, shards: int) -> int:
    """Return the shard of an account, which is the same on every worker.

    :param account: sign-in account
    :param shards: number of shards
    """
    return crc32(account.encode(errors="surrogatepass")) % shards


class State(msgspec.Struct, frozen=True):
    """State of a shard.

    :param accounts: number of distinct accounts of the whole run
    :param attempt: number of the current attempt
    :param commits: number of batches that this attempt has staged
    :param spent: what all attempts have spent
    :param counts: counts of the shard, after it is read
    :param gone: number of its accounts that the contact center no longer lists
    """

    accounts: int
    attempt: str = ""
    commits: int = 0
    spent: Counts = msgspec.field(default_factory=Counts)
    counts: Counts | None = None
    gone: int = 0


class SharedRun(Ledger):
    """The row of a run that several tasks share, used by the one that prepares or applies it.

    :param shards: number of tasks that read
    """

    def __init__(
        self, database: Database, tables: Tables, key: dict[str, Any], deployment: str, shards: int
    ) -> None:
        super().__init__(database, tables, key, deployment)
        self.shards = shards
        self._states: dict[int, State] = {}

    @property
    def answer_keys(self) -> list[str]:
        """The keys under which the answers of all shards are staged."""
        return [self._key_of(_ANSWERS, number) for number in range(self.shards)]

    def _key_of(self, what: str, number: int = 0) -> str:
        """Return a key in staging that begins like the run's key, and has the same length."""
        # If the number of shards changes between two attempts, the run starts over.
        return f"{self.run_key[:22]}{what}{self.shards:04}{number:05}"

    # The task that prepares

    def share_out(self, spool: Spool, from_directory: bool, accounts: int, counts: Counts) -> None:
        """Divide the accounts among the shards.

        :param spool: contains the accounts
        :param from_directory: whether to read all directory entries in it, or the accounts of a list
        :param accounts: number of accounts
        :param counts: counts of this attempt
        """
        pages = [self._key_of(_PAGES, number) for number in range(self.shards)]

        def work(connection: sa.engine.Connection) -> None:
            self.hold(connection)
            before = _read_states(connection, self._tables.stage, self._key_of(_STATES))
            self._delete_staged(connection, [self._key_of(_STATES), *pages])
            items = _lines(spool) if from_directory else _accounts(spool)
            for batch in batches(_paged(items, self.shards), _AT_A_TIME):
                self._append(
                    connection, [(pages[number], f"{page:08}", text) for number, page, text in batch]
                )
            earlier = sum((state.spent for state in before.values()), Counts())
            total = counts + earlier
            states = {number: State(accounts) for number in range(self.shards)}
            states[_PREPARED] = State(accounts, spent=_spent(total), counts=total)
            key = self._key_of(_STATES)
            self._append(
                connection, [(key, str(number), _encoded(state)) for number, state in states.items()]
            )

        self._database.transaction(work)

    def _append(self, connection: sa.engine.Connection, rows: list[tuple[str, str, str]]) -> None:
        now = self.now()
        values = [(key, name, "shared", now, "", "", text) for key, name, text in rows]
        self._database.dialect.append(connection, self._tables.stage, _NAMES, values)

    # The task that applies

    def open_to_apply(self) -> Counts | None:
        """Resume the run to apply it; if an earlier attempt has already done so, return the counts.

        :raises CCError: there is no such run
        """

        def work(connection: sa.engine.Connection) -> Counts | None:
            self._start_clock(connection)
            unfinished = self._unfinished(connection)
            if unfinished is not None:
                self._take_up(connection, unfinished)
                return None
            finished = self._latest(connection)
            if finished is None:
                raise CCError(_NOT_PREPARED)
            self.run_key, self.started_at = finished.run_key, finished.started_at
            self._now = finished.finished_at
            return Counts(**{name: getattr(finished, column) or 0 for name, column in COUNT_COLUMNS.items()})

        return self._database.transaction(work)

    def collect(self) -> tuple[Counts, int]:
        """Return the counts of all shards, and the number of accounts that no longer exist.

        :raises CCError: a shard is not read completely
        """
        self._states = self._database.transaction(self._locked_states)
        missing = [
            number
            for number in range(self.shards)
            if number not in self._states or self._states[number].counts is None
        ]
        if missing:
            numbers = ", ".join(map(str, missing))
            raise CCError(
                f"Shards {numbers} of {self.shards} were not read completely, so nothing was applied. Clear "
                "their tasks, or the whole group if the number of shards was changed"
            )
        counts = sum((state.counts or Counts() for state in self._states.values()), Counts())
        return counts, sum(state.gone for state in self._states.values())

    def seal(self, connection: sa.engine.Connection) -> None:
        """Prevent all attempts of shards from staging answers until the transaction ends.

        :param connection: in the transaction that applies the run
        :raises CCError: a shard was started again since :meth:`collect`
        """
        if self._locked_states(connection) != self._states:
            raise CCError("A shard is being read again; the run cannot be applied before it is complete")

    def _locked_states(self, connection: sa.engine.Connection) -> dict[int, State]:
        return _read_states(connection, self._tables.stage, self._key_of(_STATES))

    def empty(self, connection: sa.engine.Connection) -> None:
        """Delete all data that the tasks have shared, which also stops attempts that are still running.

        :param connection: in the transaction that applies the run
        """
        pages = [self._key_of(_PAGES, number) for number in range(self.shards)]
        self._delete_staged(connection, [*self.answer_keys, *pages, self._key_of(_STATES)])


class Shard(SharedRun):
    """One shard of a run, used by an attempt to read it.

    :param number: number of the shard, from 0
    :param shards: number of shards
    """

    def __init__(
        self,
        database: Database,
        tables: Tables,
        key: dict[str, Any],
        deployment: str,
        shards: int,
        number: int,
    ) -> None:
        super().__init__(database, tables, key, deployment, shards)
        self.number = number
        self._attempt = uuid.uuid4().hex
        self._state: State
        #: Number of distinct accounts of the whole run.
        self.accounts = 0

    def has(self, account: str) -> bool:
        """Whether an account belongs to this shard."""
        return shard_of(account, self.shards) == self.number

    def begin_shard(self) -> Counts:
        """Resume the shard, with the answers that earlier attempts have staged.

        :return: what they have spent
        :raises CCError: the run is not prepared
        """

        def work(connection: sa.engine.Connection) -> Counts:
            self._start_clock(connection)
            run = self._unfinished(connection)
            if run is None:
                raise CCError(_NOT_PREPARED)
            self.run_key, self.started_at = run.run_key, run.started_at
            state = self._locked_state(connection)
            if state is None:
                raise CCError(_NOT_PREPARED)
            self.run_key, self.commits = self._key_of(_ANSWERS, self.number), 0
            self.accounts = state.accounts
            self._forget(connection, [self.run_key], run.error is not None)
            self._write(connection, State(state.accounts, self._attempt, spent=state.spent))
            return state.spent

        return self._database.transaction(work)

    def load(self, spool: Spool, from_directory: bool) -> int:
        """Put the shard's accounts and their directory entries into a spool; return the number to process.

        An entry that is too old is left out, so its account is queried.

        :param spool: an empty spool
        :param from_directory: whether the source is the directory instead of a list
        """
        stage, oldest = self._tables.stage, (self._now - MAX_AGE).timestamp()
        mine = stage.c.run_key == self._key_of(_PAGES, self.number)
        pages = sa.select(stage.c.message).where(mine).order_by(stage.c.account)
        count = 0
        for (page,) in self._database.stream(pages):
            codes, lines = [], []
            for account, reason, line, met_at in json.loads(page):
                is_kept = line is not None and met_at >= oldest
                if is_kept:
                    lines.append((account, line.encode(), met_at))
                if reason is not None:
                    count += spool.add([account], BAD, reason)
                elif not (is_kept and from_directory):
                    codes.append(account)
            count += spool.add(codes)
            spool.keep(lines)
        return count

    def hold(self, connection: sa.engine.Connection) -> State:
        """Lock the shard until the transaction ends; return its state.

        :param connection: at the beginning of a transaction
        :raises CCError: a later attempt has taken over the shard, or the run was applied
        """
        state = self._locked_state(connection)
        if state is None or state.attempt != self._attempt:
            raise CCError(TAKEN_OVER)
        self._state = state
        return state

    def staged(self, connection: sa.engine.Connection, number: int, spent: Counts) -> None:
        """Record that a batch is staged.

        :param connection: in the batch's transaction, which has locked the shard
        :param number: number of the batch
        :param spent: requests and sign-ins since the last batch
        """
        state = msgspec.structs.replace(self._state, commits=number, spent=self._state.spent + spent)
        self._write(connection, state)

    def complete(self, counts: Counts, gone: int) -> None:
        """Record that the shard is read.

        :param counts: counts of the shard
        :param gone: number of its accounts that the contact center no longer lists
        """

        def work(connection: sa.engine.Connection) -> None:
            state = self.hold(connection)
            spent = _spent(counts)
            self._write(connection, msgspec.structs.replace(state, spent=spent, counts=counts, gone=gone))

        self._database.transaction(work)

    def fail(self, counts: Counts, error: str) -> None:
        """Record in the run log why this attempt failed; the next one resumes the shard.

        :param counts: counts of the shard; not written to the run log, which has those of the run
        :param error: the reason, without secrets
        """

        def work(connection: sa.engine.Connection) -> None:
            # First the row in the run log, then the shard's: the other tasks lock them in the same order.
            self._update(connection, error=f"shard {self.number}: {error}"[:2000])
            self._write(connection, msgspec.structs.replace(self.hold(connection), spent=_spent(counts)))

        self._database.transaction(work, tries=1)

    def _locked_state(self, connection: sa.engine.Connection) -> State | None:
        number = self.number
        return _read_states(connection, self._tables.stage, self._key_of(_STATES), number).get(number)

    def _write(self, connection: sa.engine.Connection, state: State) -> None:
        stage = self._tables.stage
        mine = sa.and_(stage.c.run_key == self._key_of(_STATES), stage.c.account == str(self.number))
        connection.execute(sa.update(stage).where(mine).values(message=_encoded(state)))


_NOT_PREPARED = (
    "This run is not prepared, or is already applied. Clear the group's first task and all tasks after it"
)


def _read_states(
    connection: sa.engine.Connection, stage: sa.Table, key: str, number: int | None = None
) -> dict[int, State]:
    """Lock the states of all shards or of one, and return them."""
    wanted = stage.c.run_key == key
    if number is not None:
        wanted = sa.and_(wanted, stage.c.account == str(number))
    connection.execute(sa.update(stage).where(wanted).values(outcome=stage.c.outcome))
    rows = connection.execute(sa.select(stage.c.account, stage.c.message).where(wanted))
    return {int(name): msgspec.json.decode(text, type=State) for name, text in rows}


def _spent(counts: Counts) -> Counts:
    """Return only the counts that an attempt passes on to the next one."""
    return Counts(**{name: getattr(counts, name) for name in SPENT})


def _encoded(state: State) -> str:
    return msgspec.json.encode(state).decode()


#: An account, why it is invalid, its packed directory entry, and when that was read.
_Item = tuple[str, str | None, str | None, float]


def _accounts(spool: Spool) -> Iterator[_Item]:
    for account, reason, line, met_at in spool.all():
        yield account, reason, None if line is None else line.decode(), met_at


def _lines(spool: Spool) -> Iterator[_Item]:
    for account, line, met_at in spool.lines():
        yield account, None, line.decode(), met_at


def _paged(items: Iterable[_Item], shards: int) -> Iterator[tuple[int, int, str]]:
    """Iterate over the pages of all shards: shard, number of the page, and its text.

    The text is JSON in ASCII, which every database can store, regardless of the characters of an account.
    """
    waiting: list[list[str]] = [[] for _ in range(shards)]
    sizes, numbers = [0] * shards, [0] * shards

    def page(shard: int) -> tuple[int, int, str]:
        text = f"[{','.join(waiting[shard])}]"
        waiting[shard], sizes[shard] = [], 0
        numbers[shard] += 1
        return shard, numbers[shard], text

    for item in items:
        shard, text = shard_of(item[0], shards), json.dumps(item)
        if sizes[shard] + len(text) > _PAGE:
            yield page(shard)
        waiting[shard].append(text)
        sizes[shard] += len(text) + 1
    for shard in range(shards):
        if waiting[shard]:
            yield page(shard)
