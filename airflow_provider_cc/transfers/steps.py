"""The three kinds of task that share a run: each is a variant of the operator that does one step."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.compat import deployment
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.sync import metrics
from airflow_provider_cc.sync.apply import Application
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import Database
from airflow_provider_cc.sync.interruptible import Interruptible
from airflow_provider_cc.sync.pages import Pages
from airflow_provider_cc.sync.reader import check_snapshot
from airflow_provider_cc.sync.shards import Shard, SharedRun
from airflow_provider_cc.sync.sources import spool_codes
from airflow_provider_cc.sync.spool import Spool
from airflow_provider_cc.sync.stage import Staging
from airflow_provider_cc.sync.tally import judge

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context
    from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator as Operator
else:
    Operator = object  # replaced by the operator or a subclass of it

log = logging.getLogger(__name__)

#: With fewer accounts per shard, starting a task takes longer than it saves.
WORTH_A_TASK = 5_000


class _Step(Operator):
    """Base class of the three steps.

    :param group: full ID of the task group; also the task ID of the run in the run log
    :param shards: number of tasks that read
    :param from_directory: whether the directory is the source
    :param shard: number of the shard, from 0, if the task reads one
    """

    # All arguments are here, because Airflow looks for those of a mapped task in only one of these classes.
    def __init__(
        self, *, group: str, shards: int, from_directory: bool, shard: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.group = group
        self.shards = shards
        self.from_directory = from_directory
        self.shard = shard

    @property
    def _needs_passwords(self) -> bool:
        return False

    @property
    def _source(self) -> str:
        if self.from_directory:
            return "directory"
        return "accounts_sql" if self.accounts_sql else "accounts"

    def _run_key(self, context: Context) -> dict[str, Any]:
        return super()._run_key(context) | {"task_id": self.group, "map_index": -1}

    def _shared_run(self, context: Context, warehouse: Database) -> SharedRun:
        return SharedRun(warehouse, self._tables, self._run_key(context), deployment(), self.shards)


class Prepare(_Step):
    """Signs in, reads the source and the directory once, and divides the accounts among the shards."""

    def _announce(self, context: Context) -> None:
        """Do nothing: the task that applies the run represents all of them in Airflow's UI."""

    @property
    def _keeps_answers(self) -> bool:
        return False

    def _sync(
        self, context: Context, work: Interruptible, warehouse: Database, passwords: Mapping[str, str]
    ) -> Counts:
        counts = Counts()
        with Spool() as spool:
            codes = self._codes(warehouse)
            spooled = requested, unique = (0, 0) if codes is None else spool_codes(codes, spool)
            counts.requested = counts.duplicates = requested - unique
            self._prepare_tables(warehouse)
            run = self._shared_run(context, warehouse)
            run.begin(self._source)
            spool.clock = lambda: run.now().timestamp()
            self._counts = counts
            with run.noting_failure(counts):
                active = Staging(warehouse, self._tables, run, self._reading.names).active_count()
                self._log_plan(None if codes is None else spooled, warehouse, self._tenant, active)
                # Before other tasks do: a rejected credential is sent once, and they find a shared session.
                self.hook.sessions.get(self.hook.sessions.failures)
                work.loop(self._read_directory(spool, counts, run.tags))
                self._all = spool.line_count() if self.from_directory else unique
                if self.from_directory and self.deactivate_missing:
                    check_snapshot(self._all, self.min_snapshot_ratio * active)
                run.share_out(spool, self.from_directory, self._all, counts)
        return counts

    async def _read_directory(self, spool: Spool, counts: Counts, tags: metrics.Tags) -> None:
        async with self.hook.bulk() as client:
            pages = Pages(client, spool, self.hook.page_size, self.hook.settings.max_concurrency)
            try:
                if self.from_directory:
                    counts.requested = counts.duplicates = await pages.read_all()
                elif self.softphones == "directory":
                    await pages.read_for_list()
            finally:
                counts.requests, counts.sign_ins = client.requests, self.hook.sessions.sign_ins
                counts.throttled_seconds = int(client.throttled_seconds)
                metrics.read(client, counts.sign_ins, metrics.Stopwatch(), tags)

    def _result(self, context: Context, counts: Counts, seconds: float) -> dict[str, Any]:
        accounts, each = self._all, self._all // self.shards
        log.info("%d accounts for %d shards.", accounts, self.shards)
        if self.shards > 1 and each < WORTH_A_TASK:
            log.info(
                "That is %d per shard. With fewer than %d, starting a task takes longer than it saves: "
                "set shards to %d.",
                *(each, WORTH_A_TASK, max(1, accounts // WORTH_A_TASK)),
            )
        return {"accounts": accounts, "requests": counts.requests, "seconds": round(seconds, 3)}


class Read(_Step):
    """Queries the accounts of one shard, and stages the answers."""

    def _announce(self, context: Context) -> None:
        """Do nothing: the task that applies the run does this."""

    @property
    def _needs_passwords(self) -> bool:
        return self.softphones == "login_params"

    @cached_property
    def hook(self) -> CCManagementHook:
        """The hook, with the shard's share of the connection's rate and concurrency."""
        hook = super().hook
        hook.part = (self.shard, self.shards)
        return hook

    def _sync(
        self, context: Context, work: Interruptible, warehouse: Database, passwords: Mapping[str, str]
    ) -> Counts:
        shard = Shard(warehouse, self._tables, self._run_key(context), deployment(), self.shards, self.shard)
        with Spool() as spool:
            earlier = shard.begin_shard()
            count = shard.load(spool, self.from_directory)
            share = isinstance(self.max_rejects, float)  # a shard may have as many as the run
            max_rejects = int(self.max_rejects * shard.accounts) if share else self.max_rejects
            staging = Staging(warehouse, self._tables, shard, self._reading.names)
            reader = self._reader(staging, spool, passwords, max_rejects, shard.has)
            counts = self._counts = reader.counts
            with shard.noting_failure(counts):
                self._read(work, reader, (count, count), earlier)
                counts.check()
                shard.complete(counts, reader.gone)
        return counts

    def _result(self, context: Context, counts: Counts, seconds: float) -> dict[str, Any]:
        result = {**asdict(counts), "seconds": round(seconds, 3)}
        log.info("Read: %s", ", ".join(f"{name} {value}" for name, value in result.items() if value))
        return result


class Apply(_Step):
    """Checks the limits for all shards together, and applies them."""

    def _sync(
        self, context: Context, work: Interruptible, warehouse: Database, passwords: Mapping[str, str]
    ) -> Counts:
        run = self._ledger = self._shared_run(context, warehouse)
        counts = run.open_to_apply()
        if counts is None:
            counts = self._counts = Counts()
            with run.noting_failure(counts):
                collected, gone = run.collect()
                vars(counts).update(vars(collected))
                judge(counts, self.max_rejects, gone)
                application = Application(warehouse, self._tables, run, self._reading.names)
                application.apply(counts, self.min_snapshot_ratio)
            self._describe(application)
        self._counts = self._applied = counts
        self._run_seconds = (run.now() - run.started_at).total_seconds()
        return counts

    def _result(self, context: Context, counts: Counts, seconds: float) -> dict[str, Any]:
        """Return the result, with the seconds since the beginning of the run."""
        return super()._result(context, counts, self._run_seconds)
