"""The run log: one row for each run, with its current attempt, its progress and its result."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.sync import metrics
from airflow_provider_cc.sync.counts import SPENT, Counts
from airflow_provider_cc.sync.database import Database
from airflow_provider_cc.sync.schema import COUNT_COLUMNS, RUN_KEY, Tables

#: Staged answers that are older are read again; those of runs that never ended are removed later.
MAX_AGE, LEFT_OVER = timedelta(hours=6), timedelta(days=7)
TAKEN_OVER = "Run taken over by a newer attempt of this task; stopping this attempt"


class Ledger:
    """The row of one run, used by one attempt.

    :param database: the warehouse
    :param tables: the tables
    :param key: values of :data:`~airflow_provider_cc.sync.schema.RUN_KEY`, which identify the task instance
    :param deployment: identifies the Airflow deployment: two may have the same DAG
    """

    def __init__(self, database: Database, tables: Tables, key: dict[str, Any], deployment: str) -> None:
        self._database = database
        self._tables = tables
        self._key = key
        self._deployment = deployment
        self._try = 0
        self.tenant: str = key["tenant"]
        self.tags = metrics.tags(key["dag_id"], key["task_id"], self.tenant)
        self.run_key: str
        #: Number of staged batches.
        self.commits = 0
        #: When the run began, by the database's clock.
        self.started_at: datetime
        self._now: datetime

    def now(self) -> datetime:
        """Return the database's time: its clock when the attempt began, plus the time elapsed since.

        It starts after the end of the tenant's last run: a clock that was set back must not make new answers
        look older than those in the tables.
        """
        return self._now + timedelta(seconds=time.monotonic() - self._monotonic)

    @property
    def answer_keys(self) -> list[str]:
        """The keys under which the run's answers are staged."""
        return [self.run_key]

    def begin(self, source: str) -> Counts | None:
        """Enter the run, or resume an unfinished one with the answers that it has staged.

        Answers that are too old are deleted. So are the rejects of a failed attempt: both may have the same
        cause, and a run that failed because of its rejects could otherwise never succeed.

        :param source: what the run reads
        :return: what earlier attempts have spent; ``None`` if this is the first attempt
        """
        stage = self._tables.stage

        def work(connection: sa.engine.Connection) -> Counts | None:
            self._start_clock(connection)
            connection.execute(sa.delete(stage).where(stage.c.read_at < self._now - LEFT_OVER))
            earlier = self._unfinished(connection)
            if earlier is None:
                self._enter(connection, source)
                return None
            self._take_up(connection, earlier)
            self._forget(connection, self.answer_keys, earlier.error is not None)
            self._update(connection, error=None)
            return Counts(**{name: getattr(earlier, COUNT_COLUMNS[name]) or 0 for name in SPENT})

        return self._database.transaction(work)

    def _start_clock(self, connection: sa.engine.Connection) -> None:
        self._database.dialect.lock(connection, self._lock_name, self._tables.run)
        run = self._tables.run
        latest = connection.execute(
            sa.select(sa.func.max(run.c.finished_at)).where(run.c.tenant == self.tenant)
        ).scalar()
        now = self._database.dialect.now(connection)
        self._now = now if latest is None else max(now, latest)
        self._monotonic = time.monotonic()

    def _unfinished(self, connection: sa.engine.Connection) -> Any:
        run = self._tables.run
        return self._latest(connection, run.c.finished_at.is_(None), run.c.run_key.is_not(None))

    def _latest(self, connection: sa.engine.Connection, *conditions: Any) -> Any:
        run = self._tables.run
        return connection.execute(
            sa.select(run)
            .where(self._is_run(), run.c.deployment == self._deployment, *conditions)
            .order_by(run.c.started_at.desc())
            .limit(1)
        ).first()

    def _take_up(self, connection: sa.engine.Connection, earlier: Any) -> None:
        self.run_key, self.started_at = earlier.run_key, earlier.started_at
        self._try, self.commits = earlier.tries + 1, earlier.commits
        self._update(connection, tries=self._try)

    def _forget(self, connection: sa.engine.Connection, keys: list[str], failed: bool) -> None:
        """Delete answers that are too old; if their attempt failed, all answers except rows."""
        stage = self._tables.stage
        stale = stage.c.read_at < self._now - MAX_AGE
        if failed:
            stale = sa.or_(stale, stage.c.outcome != "row")
        connection.execute(sa.delete(stage).where(stage.c.run_key.in_(keys), stale))

    def _enter(self, connection: sa.engine.Connection, source: str) -> None:
        run = self._tables.run
        latest = connection.execute(sa.select(sa.func.max(run.c.started_at)).where(self._is_run())).scalar()
        # Two runs of a task never have the same start, even if the database's clock is coarse or was set
        # back.
        self.started_at = (
            self._now if latest is None or self._now > latest else latest + timedelta(milliseconds=1)
        )
        self.run_key, self._try, self.commits = uuid.uuid4().hex, 1, 0
        connection.execute(
            run.insert().values(
                **self._key,
                started_at=self.started_at,
                source=source,
                tries=1,
                commits=0,
                run_key=self.run_key,
                deployment=self._deployment,
                agent_table=self._tables.agent.fullname,
                **dict.fromkeys(COUNT_COLUMNS.values(), 0),
            )
        )

    def hold(self, connection: sa.engine.Connection) -> Any:
        """Lock the row until the transaction ends; return its ``commits`` and ``finished_at``.

        :param connection: at the beginning of a transaction; on SQLite, only a write locks
        :raises CCError: a later attempt has taken over the run
        """
        run = self._tables.run
        self._update(connection, tries=run.c.tries)
        row = connection.execute(
            sa.select(run.c.tries, run.c.commits, run.c.finished_at).where(self._is_this())
        ).first()
        if row is None or row.tries != self._try:
            raise CCError(TAKEN_OVER)
        return row

    def seal(self, connection: sa.engine.Connection) -> None:
        """Prevent staging until the transaction ends; here, :meth:`hold` has already done so.

        :param connection: in the transaction that applies the run
        """

    def empty(self, connection: sa.engine.Connection) -> None:
        """Delete the staged answers.

        :param connection: in the transaction that applies the run
        """
        self._delete_staged(connection, self.answer_keys)

    def _delete_staged(self, connection: sa.engine.Connection, keys: list[str]) -> None:
        stage = self._tables.stage
        connection.execute(sa.delete(stage).where(stage.c.run_key.in_(keys)))

    def staged(self, connection: sa.engine.Connection, number: int, spent: Counts) -> None:
        """Record that a batch is staged.

        :param connection: in the batch's transaction
        :param number: number of the batch
        :param spent: requests, sign-ins and throttled seconds since the last batch
        """
        run = self._tables.run
        self._update(
            connection,
            commits=number,
            **{name: run.c[name] + getattr(spent, name) for name in SPENT},
        )

    def finish(self, connection: sa.engine.Connection, counts: Counts, complete: bool) -> None:
        """Close the run, with its final counts.

        :param connection: in the transaction that applies it
        :param counts: counts over all attempts
        :param complete: whether every active agent was read or rejected
        """
        self._update(connection, finished_at=self.now(), error=None, complete=complete, **_columns(counts))

    @contextmanager
    def noting_failure(self, counts: Counts) -> Iterator[None]:
        """Record why an attempt fails, and let the exception pass.

        :param counts: counts so far
        """
        try:
            yield
        except BaseException as error:
            with suppress(Exception):  # the failure of the run matters more than that of recording it
                self.fail(counts, str(error) if isinstance(error, CCError) else type(error).__name__)
            raise

    def fail(self, counts: Counts, error: str) -> None:
        """Record why this attempt failed; the next one resumes the run.

        :param counts: counts so far
        :param error: the reason, without secrets
        """

        def work(connection: sa.engine.Connection) -> None:
            self.hold(connection)
            self._update(connection, error=error[:2000], **_columns(counts))

        self._database.transaction(work, tries=1)

    def reject_values(self) -> dict[str, Any]:
        """Return the values that all rejects of a run have in common."""
        return {**self._key, "rejected_at": self.started_at}

    @property
    def _lock_name(self) -> str:
        return f"cc: {self._tables.agent.fullname}: {self.tenant}"

    def lock(self, connection: sa.engine.Connection) -> None:
        """Prevent other runs of the tenant from being applied until the transaction ends."""
        self._database.dialect.lock(connection, self._lock_name, self._tables.run)

    def _update(self, connection: sa.engine.Connection, **values: Any) -> None:
        connection.execute(sa.update(self._tables.run).where(self._is_this()).values(**values))

    def _is_run(self) -> Any:
        run = self._tables.run
        return sa.and_(*(run.c[name] == self._key[name] for name in RUN_KEY))

    def _is_this(self) -> Any:
        return sa.and_(self._is_run(), self._tables.run.c.started_at == self.started_at)


def _columns(counts: Counts) -> dict[str, int]:
    return {column: getattr(counts, name) for name, column in COUNT_COLUMNS.items()}
