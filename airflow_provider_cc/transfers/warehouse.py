"""A run's side of the database: the ledger, and one transaction for each chunk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
import tenacity
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.pool import NullPool

from airflow_provider_cc.exceptions import CCConfigError, CCError, ErrorCode
from airflow_provider_cc.transfers import history, postgres
from airflow_provider_cc.transfers.counts import Counts
from airflow_provider_cc.transfers.difference import Chunk, Difference, Known, Reject, compare
from airflow_provider_cc.transfers.tables import COUNT_COLUMNS, RUN_KEY, Tables, create, database_now

T = TypeVar("T")
log = logging.getLogger(__name__)

#: The endpoint of rejects that were never asked for: the account code itself is bad.
BAD_CODE = "account_code"
#: Tries of a transaction that a conflict or a lost connection ended, and seconds after which none begins.
MAX_TRIES, MAX_SECONDS = 8, 60.0
#: Rows fetched at a time where a result may be long.
FETCH = 1000


class Warehouse:
    """Writes a run.

    :param engine: of the database, made by :func:`engine_of`
    :param tables: the tables
    :param run_key: values of :data:`RUN_KEY`: which task instance this is, and the tenant
    :param delivered: the columns that the source delivers, in the order of the values in a row
    """

    #: Whether rows that are read are about to be written.
    _locks_rows = True

    def __init__(
        self, engine: sa.engine.Engine, tables: Tables, run_key: dict[str, Any], delivered: Sequence[str]
    ) -> None:
        self._engine = engine
        self._tables = tables
        self._key = run_key
        self._tenant = run_key["tenant"]
        self._on_postgres = engine.dialect.name == "postgresql"
        self._by_array = self._on_postgres and postgres.suits(tables.agent.c[name] for name in delivered)
        self._delivered = tuple(delivered)
        self._try = 1
        self._commits = 0
        self._last_written = Counts()
        #: When the run began, by the database's clock; every stamp of the run.
        self.stamp: datetime

    @property
    def engine(self) -> sa.engine.Engine:
        """The database."""
        return self._engine

    def begin(self, source: str) -> Counts | None:
        """Create what is missing, and enter the run in the ledger or take up an unfinished one.

        :param source: what the run reads
        :return: the counts of earlier tries; ``None`` if this is the first
        :raises CCConfigError: a table lacks columns
        """

        def work(connection: sa.engine.Connection) -> Counts | None:
            create(connection, self._tables)
            run = self._tables.run
            earlier = self._take_over(connection)
            if earlier is not None:
                return earlier
            # A write before the read: on SQLite, only one run at a time then looks for the latest stamp.
            connection.execute(sa.update(run).where(sa.false()).values(commits=run.c.commits))
            latest = connection.execute(
                sa.select(sa.func.max(run.c.started_at)).where(run.c.tenant == self._tenant)
            ).scalar()
            # Two runs never share a stamp, not even on a database whose clock is coarse or was set back.
            now = database_now(connection)
            self.stamp = now if latest is None or now > latest else latest + timedelta(milliseconds=1)
            self._try, self._commits = 1, 0
            connection.execute(
                run.insert().values(
                    **self._key,
                    started_at=self.stamp,
                    source=source,
                    tries=1,
                    commits=0,
                    **dict.fromkeys(COUNT_COLUMNS.values(), 0),
                )
            )
            if self._tables.history is not None:
                history.close_inactive(connection, self._tables.history, self._tables.agent, self._tenant)
            return None

        return self._transaction(work)

    def _take_over(self, connection: sa.engine.Connection) -> Counts | None:
        """Make an unfinished run this try's own; return the counts of the earlier ones."""
        run = self._tables.run
        stamp = connection.execute(
            sa.select(sa.func.max(run.c.started_at)).where(self._is_run(run), run.c.finished_at.is_(None))
        ).scalar()
        if stamp is None:
            return None
        self.stamp = stamp
        # A write before the read: it waits for the chunk that an earlier try may just be committing.
        connection.execute(sa.update(run).where(self._is_started(run)).values(tries=run.c.tries + 1))
        row = connection.execute(sa.select(run).where(self._is_started(run))).mappings().one()
        if row["finished_at"] is not None:
            return None
        self._try, self._commits = row["tries"], row["commits"]
        if row["error"] is not None:
            self._forget_rejects(connection)
        return Counts(**{name: row[column] for name, column in COUNT_COLUMNS.items()})

    def _forget_rejects(self, connection: sa.engine.Connection) -> None:
        """Let a try after a failed one ask again for whom that one rejected: one cause may explain both.

        Otherwise a run that failed for its rejects could never end well. Who lost their row stays rejected.
        """
        agent, reject, run = self._tables.agent, self._tables.reject, self._tables.run
        closed = sa.select(agent.c.account).where(
            agent.c.tenant == self._tenant, agent.c.synced_at == self.stamp, sa.not_(agent.c.is_active)
        )
        connection.execute(sa.delete(reject).where(self._is_this(reject), reject.c.account.not_in(closed)))
        connection.execute(sa.update(run).where(self._is_started(run)).values(error=None, rejected=0))

    def finished_rejects(self) -> Iterator[str]:
        """Iterate over the accounts that earlier tries of this run have rejected."""
        reject = self._tables.reject
        query = sa.select(reject.c.account).where(self._is_this(reject), reject.c.endpoint != BAD_CODE)
        yield from (account for (account,) in self._stream(query))

    def finished_rows(self) -> Iterator[str]:
        """Iterate over the accounts whose row earlier tries of this run have stamped."""
        yield from self._active(self._tables.agent.c.synced_at == self.stamp)

    def later_rows(self) -> Iterator[str]:
        """Iterate over the accounts whose row a later run has stamped: this one would leave it alone."""
        yield from self._active(self._tables.agent.c.synced_at > self.stamp)

    def _active(self, condition: Any) -> Iterator[str]:
        agent = self._tables.agent
        query = sa.select(agent.c.account).where(agent.c.tenant == self._tenant, agent.c.is_active, condition)
        yield from (account for (account,) in self._stream(query))

    def write_bad_codes(self, bad: Iterable[tuple[str, str]]) -> None:
        """Enter the account codes that cannot be asked for; a repeated try enters them anew.

        :param bad: each code, as far as it can be shown, with what is wrong with it
        """
        rejects = [Reject(shown, BAD_CODE, ErrorCode.BAD_CODE, reason) for shown, reason in bad]

        def work(connection: sa.engine.Connection) -> None:
            self._hold(connection)
            reject = self._tables.reject
            connection.execute(sa.delete(reject).where(self._is_this(reject), reject.c.endpoint == BAD_CODE))
            self._insert_rejects(connection, rejects)

        if rejects:
            self._transaction(work)
            log.warning("%d accounts rejected: %s: bad_code", len(rejects), BAD_CODE)

    def active_count(self) -> int:
        """Return how many rows are active."""
        agent = self._tables.agent

        def work(connection: sa.engine.Connection) -> int:
            query = sa.select(sa.func.count()).where(agent.c.tenant == self._tenant, agent.c.is_active)
            return int(connection.execute(query).scalar_one())

        return self._transaction(work)

    def active_among(self, accounts: Sequence[str]) -> set[str]:
        """Return those accounts that have an active row.

        :param accounts: at most a chunk of them
        """
        agent = self._tables.agent

        def work(connection: sa.engine.Connection) -> set[str]:
            query = sa.select(agent.c.account).where(self._is_among(accounts), agent.c.is_active)
            return {account for (account,) in connection.execute(query)}

        return self._transaction(work)

    def not_seen(self) -> Iterator[str]:
        """Iterate over the accounts with an active row that neither this run nor a later one has stamped.

        In pages, and nothing stays open between them: on SQLite, who reads keeps others from writing.
        """
        agent = self._tables.agent
        query = sa.select(agent.c.account).where(
            agent.c.tenant == self._tenant, agent.c.is_active, agent.c.synced_at < self.stamp
        )
        after = ""

        def work(connection: sa.engine.Connection) -> Sequence[str]:
            page = query.where(agent.c.account > after).order_by(agent.c.account).limit(FETCH)
            return [account for (account,) in connection.execute(page)]

        while page := self._transaction(work):
            yield from page
            after = page[-1]

    def write(self, chunk: Chunk, spent: Counts) -> Counts:
        """Write a chunk, in one transaction with its history, its rejects and the ledger.

        :param chunk: what was read, rejected and found gone
        :param spent: requests and sign-ins since the last chunk
        :return: what it came to
        :raises CCError: another try of the same run is writing, too
        """
        number = self._commits + 1

        def work(connection: sa.engine.Connection) -> Counts:
            if self._hold(connection) == number:
                # The commit of an earlier attempt at this chunk went through; only its answer was lost.
                return self._last_written
            stamped = self._stamp_unchanged(connection, chunk)
            rest = Chunk([row for row in chunk.rows if row[0] not in stamped], gone=chunk.gone)
            difference = compare(rest, self._known(connection, rest), self.stamp)
            self._apply(connection, difference, stamped)
            written = counted(chunk, difference, spent)
            self._insert_rejects(connection, chunk.rejects)
            self._enter(connection, written, number)
            self._last_written = written
            return written

        counts = self._transaction(work)
        self._commits = number
        return counts

    def finish(self, counts: Counts) -> None:
        """Close the run in the ledger, with its final counts.

        :param counts: over all tries
        """
        self._close(error=None, finished=True, counts=counts)

    def fail(self, counts: Counts, error: str) -> None:
        """Note in the ledger why this try failed; the next one goes on from here.

        :param counts: so far
        :param error: the reason, without secrets
        """
        self._close(error=error[:2000], finished=False, counts=counts)

    def _close(self, error: str | None, finished: bool, counts: Counts) -> None:
        def work(connection: sa.engine.Connection) -> None:
            self._hold(connection)
            run = self._tables.run
            connection.execute(
                sa.update(run)
                .where(self._is_started(run))
                .values(
                    finished_at=database_now(connection) if finished else None,
                    error=error,
                    **{column: getattr(counts, name) for name, column in COUNT_COLUMNS.items()},
                )
            )

        self._transaction(work, tries=MAX_TRIES if finished else 1)

    def _known(self, connection: sa.engine.Connection, chunk: Chunk) -> dict[str, Known]:
        agent = self._tables.agent
        accounts = sorted([account for account, _ in chunk.rows] + chunk.gone)
        if not accounts:
            return {}
        columns = [agent.c.account, agent.c.is_active, agent.c.synced_at]
        query = sa.select(*columns, *(agent.c[name] for name in self._delivered)).where(
            self._is_among(accounts)
        )
        if self._locks_rows and connection.dialect.name not in ("sqlite", "duckdb"):
            # In one order, so that two runs wait for each other instead of blocking each other for good.
            query = query.order_by(agent.c.account).with_for_update()
        return {
            account: Known(tuple(values), bool(is_active), synced_at)
            for account, is_active, synced_at, *values in connection.execute(query)
        }

    def _stamp_unchanged(self, connection: sa.engine.Connection, chunk: Chunk) -> set[str]:
        """Stamp rows that are as before, where the database can tell without being asked for them."""
        if not self._by_array or not chunk.rows:
            return set()
        return postgres.stamp_unchanged(
            connection, self._tables.agent, self._tenant, self._delivered, chunk.rows, self.stamp
        )

    def _apply(
        self, connection: sa.engine.Connection, difference: Difference, stamped: Collection[str]
    ) -> None:
        agent, stamp = self._tables.agent, self.stamp
        if self._tables.history is not None:
            history.write(
                connection,
                self._tables.history,
                agent,
                self._tenant,
                self._delivered,
                difference,
                stamped,
                stamp,
            )
        if difference.added and self._by_array:
            postgres.insert(connection, agent, self._tenant, self._delivered, difference.added, stamp)
        elif difference.added:
            fixed = {
                "tenant": self._tenant,
                "is_active": True,
                "first_seen_at": stamp,
                "changed_at": stamp,
                "synced_at": stamp,
            }
            connection.execute(
                agent.insert(),
                [
                    {"account": account, **dict(zip(self._delivered, values, strict=True)), **fixed}
                    for account, values in difference.added
                ],
            )
        if moved := difference.changed + difference.reactivated:
            update = (
                sa.update(agent)
                .where(agent.c.tenant == self._tenant, agent.c.account == sa.bindparam("_account"))
                .values(
                    is_active=True,
                    changed_at=stamp,
                    synced_at=stamp,
                    **{name: sa.bindparam(f"_{name}") for name in self._delivered},
                )
            )
            names = [f"_{name}" for name in self._delivered]
            connection.execute(
                update,
                [{"_account": account, **dict(zip(names, values, strict=True))} for account, values in moved],
            )
        if difference.unchanged:
            connection.execute(
                sa.update(agent).where(self._is_among(difference.unchanged)).values(synced_at=stamp)
            )
        if difference.gone:
            connection.execute(
                sa.update(agent)
                .where(self._is_among(difference.gone))
                .values(is_active=False, changed_at=stamp, synced_at=stamp)
            )

    def _insert_rejects(self, connection: sa.engine.Connection, rejects: Sequence[Reject]) -> None:
        if rejects:
            fixed = {**self._key, "rejected_at": self.stamp}
            connection.execute(
                self._tables.reject.insert(),
                [
                    {
                        **fixed,
                        "account": reject.account,
                        "endpoint": reject.endpoint[:100],
                        "code": reject.code[:100],
                        "message": reject.message,
                    }
                    for reject in rejects
                ],
            )

    def _enter(self, connection: sa.engine.Connection, written: Counts, number: int) -> None:
        run = self._tables.run
        sums = {
            column: run.c[column] + getattr(written, name)
            for name, column in COUNT_COLUMNS.items()
            if getattr(written, name)
        }
        connection.execute(sa.update(run).where(self._is_started(run)).values(commits=number, **sums))

    def _hold(self, connection: sa.engine.Connection) -> int:
        """Lock this run's ledger row until the transaction ends; return how many chunks are committed.

        Every transaction that writes opens with it, as only a write makes SQLite lock.

        :raises CCError: a later try has taken the run over
        """
        run = self._tables.run
        connection.execute(sa.update(run).where(self._is_started(run)).values(tries=run.c.tries))
        row = connection.execute(sa.select(run.c.tries, run.c.commits).where(self._is_started(run))).first()
        if row is None or row.tries != self._try:
            raise CCError("another try of this very run is at work on the table: this one gives way")
        return int(row.commits)

    def _is_run(self, table: sa.Table) -> Any:
        return sa.and_(*(table.c[name] == self._key[name] for name in RUN_KEY))

    def _is_started(self, table: sa.Table) -> Any:
        return sa.and_(self._is_run(table), table.c.started_at == self.stamp)

    def _is_this(self, reject: sa.Table) -> Any:
        return sa.and_(self._is_run(reject), reject.c.rejected_at == self.stamp)

    def _is_among(self, accounts: Sequence[str]) -> Any:
        agent = self._tables.agent
        if self._on_postgres:  # one array instead of a thousand parameters
            array = sa.bindparam(None, list(accounts), type_=postgresql.ARRAY(agent.c.account.type))
            return sa.and_(agent.c.tenant == self._tenant, agent.c.account == sa.any_(array))
        return sa.and_(agent.c.tenant == self._tenant, agent.c.account.in_(accounts))

    def query(self, sql: str) -> Iterator[Any]:
        """Iterate over the rows of the user's own query, in constant memory.

        :param sql: as it is: neither ``:name`` nor ``%`` has a meaning in it
        """
        with self._engine.connect() as connection:
            options = connection.execution_options(
                stream_results=True, max_row_buffer=FETCH, no_parameters=True
            )
            result = options.exec_driver_sql(sql)
            while rows := result.fetchmany(FETCH):
                yield from rows

    def _stream(self, query: Any) -> Iterator[Any]:
        """Iterate over a result of any length, in constant memory."""
        with self._engine.connect() as connection:
            result = connection.execution_options(stream_results=True, max_row_buffer=FETCH).execute(query)
            while rows := result.fetchmany(FETCH):
                yield from rows

    def _transaction(self, work: Callable[[sa.engine.Connection], T], tries: int = MAX_TRIES) -> T:
        return transaction(self._engine, work, tries)


def counted(chunk: Chunk, difference: Difference, spent: Counts) -> Counts:
    """Return what writing a chunk comes to.

    :param chunk: what was read
    :param difference: what it changes
    :param spent: requests and sign-ins since the last chunk
    """
    return Counts(
        synced=len(chunk.rows),
        added=len(difference.added),
        changed=len(difference.changed),
        unchanged=len(chunk.rows)
        - len(difference.added)
        - len(difference.changed)
        - len(difference.reactivated),
        reactivated=len(difference.reactivated),
        deactivated=len(difference.gone),
        rejected=len(chunk.rejects),
        requests=spent.requests,
        sign_ins=spent.sign_ins,
    )


def transaction(
    engine: sa.engine.Engine, work: Callable[[sa.engine.Connection], T], tries: int = MAX_TRIES
) -> T:
    """Run a transaction, again if a conflict or a lost connection ended it.

    :param engine: of the database, made by :func:`engine_of`
    :param work: what is done in it
    :param tries: how many, the first included
    """

    def attempt() -> T:
        with engine.begin() as connection:
            return work(connection)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(tries) | tenacity.stop_after_delay(MAX_SECONDS),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=10),
        retry=tenacity.retry_if_exception(_may_pass),
        before_sleep=_log_retry,
        reraise=True,
    )
    result: T = retrying(attempt)
    return result


def _may_pass(error: BaseException) -> bool:
    """Whether a transaction that failed with this may go through when it is repeated.

    Conflicts of two runs (a lock, a deadlock, the same new row twice) and lost connections may. A full disk
    and a lack of rights come as the same classes; they use up the tries and then fail with their own words.
    """
    return isinstance(error, OperationalError | InterfaceError | IntegrityError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    cause = getattr(error, "orig", error)
    log.warning("The database refused a transaction (%s); trying again.", type(cause).__name__)


def engine_of(hook: Any, conn_id: str) -> sa.engine.Engine:
    """Return an engine on the database of a SQL hook; it never puts row values into errors.

    :param hook: the connection's hook
    :param conn_id: connection id, for the error
    :raises CCConfigError: the connection is of a type without SQL
    """
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise CCConfigError(f"connection {conn_id!r} is no database: its hook has no SQLAlchemy engine")
    options: dict[str, Any] = {"hide_parameters": True}
    if getattr(hook, "conn_type", "") == "duckdb":
        # A DuckDB file is locked by whoever has it open, so it is opened for each transaction.
        options["poolclass"] = NullPool
    engine: sa.engine.Engine = hook.get_sqlalchemy_engine(engine_kwargs=options)
    return engine
