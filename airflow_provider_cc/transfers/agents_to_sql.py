"""The main operator: syncs agents from the contact center into a database."""

from __future__ import annotations

import re
import time
import types
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cache, cached_property, wraps
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from airflow_provider_cc.api.management import AGENT_INFO, DIRECTORY, LOGIN_PARAMS
from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import Asset, BaseHook, BaseOperator, TaskGroup, deployment, flush_telemetry
from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.sync.apply import Application
from airflow_provider_cc.sync.columns import AGENT_COLUMNS, Column, Reading
from airflow_provider_cc.sync.counts import SPENT, Counts
from airflow_provider_cc.sync.database import Database, database_of
from airflow_provider_cc.sync.interruptible import Interruptible
from airflow_provider_cc.sync.ledger import Ledger
from airflow_provider_cc.sync.questions import reading_for
from airflow_provider_cc.sync.reader import Reader
from airflow_provider_cc.sync.rehearsal import rehearsal
from airflow_provider_cc.sync.schema import Tables, define, prepare
from airflow_provider_cc.sync.sources import AccountList, rows_of_one_column, spool_codes
from airflow_provider_cc.sync.spool import Spool
from airflow_provider_cc.sync.stage import Staging
from airflow_provider_cc.sync.views import create_views
from airflow_provider_cc.transfers.advice import failure
from airflow_provider_cc.transfers.lineage import lineage, rows_written
from airflow_provider_cc.transfers.steps import Apply, Prepare, Read

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context, XComArg

SOFTPHONES = ("directory", "login_params", "none")

#: Key of the XCom that the page in Airflow's UI uses to find syncs; see :mod:`airflow_provider_cc.ui.runs`.
SYNC_KEY = "cc_sync"


class CCAgentsToSqlOperator(BaseOperator):
    """Syncs contact-center agents into a table: account → agent ID, type, status and softphone number.

    Returns the counts of the run as a dict, after checking that they reconcile, with the table, the tenant,
    its active agents and the reasons of rejects.

    Manual: CC-Management, agentAccount/query, queryAgentInfoByAccount and queryAgentLoginParams.

    :param sql_conn_id: connection to the database (templated)
    :param table: the agent table; every table name may be ``schema.name``
    :param history_table: a table with every version of every agent, or ``None``
    :param reject_table: the table of accounts that could not be read, with the reason
    :param run_table: the run log
    :param accounts: account codes, as a list or an XComArg; shown in the UI as a number (templated)
    :param accounts_sql: instead, a query on ``sql_conn_id`` that returns them in one column (templated). If
        neither is set, the accounts come from the directory
    :param softphones: source of softphone numbers: ``"directory"``, ``"login_params"`` (one more query for
        each account, with the account's own password) or ``"none"``
    :param passwords_conn_id: for login parameters, a connection whose *password* is JSON ``{account:
        password}`` (templated); or override :meth:`account_passwords`
    :param deactivate_missing: close the rows of accounts that the directory no longer lists, each confirmed
        by a query
    :param min_snapshot_ratio: fail, and change nothing, if less than this share of the active rows would stay
        active
    :param tenant: part of the key, separates contact centers; ``None`` for the connection ID (templated)
    :param chunk_size: answers staged in a transaction, 1 to 10,000
    :param max_rejects: the run fails above this share (float) or number (int) of rejects
    :param create_views: create missing views: who was who, what changed, which periods are covered, and what
        looks wrong. The role needs the privilege to create views
    :param dry_run: write nothing; return the counts, and log up to 50 examples of what would change
    :param cc_conn_id: connection of type ``cc_management`` (templated)
    """

    template_fields: Sequence[str] = (
        "sql_conn_id",
        "cc_conn_id",
        "accounts",
        "accounts_sql",
        "passwords_conn_id",
        "tenant",
        "table",
        "history_table",
        "reject_table",
        "run_table",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"accounts_sql": "sql"}
    ui_color = "#e8f4ea"

    columns: ClassVar[tuple[Column, ...]] = AGENT_COLUMNS
    """The columns of an agent. Subclasses can add columns here."""

    def __init__(
        self,
        *,
        sql_conn_id: str,
        table: str = "cc_agent",
        history_table: str | None = None,
        reject_table: str = "cc_agent_reject",
        run_table: str = "cc_sync_run",
        accounts: list[str] | XComArg | str | None = None,
        accounts_sql: str | None = None,
        softphones: str = "directory",
        passwords_conn_id: str | None = None,
        deactivate_missing: bool = True,
        min_snapshot_ratio: float = 0.5,
        tenant: str | None = None,
        chunk_size: int = 1000,
        max_rejects: float = 0.5,
        create_views: bool = False,
        dry_run: bool = False,
        cc_conn_id: str = CCManagementHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.history_table = history_table
        self.reject_table = reject_table
        self.run_table = run_table
        self._accounts: Any = accounts
        self.accounts_sql = accounts_sql
        self._has_source = accounts is not None or accounts_sql is not None
        self.softphones = softphones
        self.passwords_conn_id = passwords_conn_id
        self.deactivate_missing = deactivate_missing
        self.min_snapshot_ratio = min_snapshot_ratio
        self.tenant = tenant
        self.chunk_size = chunk_size
        self.max_rejects = max_rejects
        self.create_views = create_views
        self._dry_run = dry_run  # BaseOperator has a method of that name
        self.cc_conn_id = cc_conn_id
        self._work: Interruptible | None = None
        self._counts: Counts | None = None  # none before the run has begun
        self._applied = Counts()
        self._details: dict[str, Any] = {}
        self._ledger: Ledger | None = None

    @property
    def accounts(self) -> Any:
        """The account codes; once rendered, a list that is displayed as a number."""
        return self._accounts

    @accounts.setter
    def accounts(self, rendered: Any) -> None:
        # Airflow sets it after rendering the template, and keeps a copy for the UI.
        self._accounts = None if rendered is None else AccountList(rendered)

    @cached_property
    def hook(self) -> CCManagementHook:
        """The hook."""
        return CCManagementHook(self.cc_conn_id)

    def account_passwords(self) -> Mapping[str, str]:
        """Return the passwords for login parameters, account → password; override it for another source.

        :raises CCConfigError: the connection's password is not JSON of this form
        """
        if not self.passwords_conn_id:
            return {}
        password = BaseHook.get_connection(self.passwords_conn_id).password
        try:
            return msgspec.json.decode(password or "", type=dict[str, str])
        except (msgspec.MsgspecError, UnicodeError):
            raise CCConfigError(
                f"connection {self.passwords_conn_id!r}: its password must be JSON of the form "
                '{"account": "password", …}'
            ) from None

    def pre_execute(self, context: Context) -> None:
        """Publish what is synced, for the page in Airflow's UI.

        :param context: context of the task
        """
        super().pre_execute(context)
        self._announce(context)

    def _announce(self, context: Context) -> None:
        # Before the run, because a failed run returns nothing by which the page could find it.
        target = {"sql_conn_id": self.sql_conn_id, "table": self.table, "tenant": self._tenant}
        context["ti"].xcom_push(SYNC_KEY, {**target, "dry_run": self._dry_run})

    @without_locals
    def execute(self, context: Context) -> dict[str, Any]:
        """Read, stage, apply.

        :raises ValueError: invalid or conflicting arguments
        :raises CCConfigError: a connection or a table that cannot be used
        :raises CCError: the run cannot continue; the tables are unchanged, and a retry resumes it
        """
        began = time.monotonic()
        self._work = work = Interruptible()
        self._check_arguments()
        passwords = self.account_passwords() if self._needs_passwords else {}
        # Both connections are read and checked here, before anything runs in another thread.
        warehouse = database_of(self.sql_conn_id)
        self.hook.sessions, self.hook.page_size  # noqa: B018
        with closing(warehouse):
            try:
                counts = work.run(lambda: self._sync(context, work, warehouse, passwords))
            except BaseException as error:
                resumes = self._counts is not None and self._keeps_answers
                self.log.error(failure(error, time.monotonic() - began, self.cc_conn_id, resumes))
                raise
            finally:
                flush_telemetry(seconds=2)
        return self._result(context, counts, time.monotonic() - began)

    def on_kill(self) -> None:
        """Stop at once; staged answers are kept."""
        if self._work is not None:
            self._work.stop()

    def _sync(
        self, context: Context, work: Interruptible, warehouse: Database, passwords: Mapping[str, str]
    ) -> Counts:
        database, tables, tenant = warehouse, self._tables, self._tenant
        with Spool() as spool:
            # Problems with the source are reported before anything is created or queried.
            codes = self._codes(warehouse)
            spooled = None if codes is None else spool_codes(codes, spool)
            if self._dry_run:
                database, tables = rehearsal(warehouse, tables, self.columns, tenant)
            else:
                self._prepare_tables(database)
            ledger = self._ledger = Ledger(database, tables, self._run_key(context), deployment())
            earlier = ledger.begin(self._source) or Counts()
            staging = Staging(database, tables, ledger, self._reading.names)
            self._log_plan(spooled, warehouse, tenant, staging.active_count())
            reader = self._reader(staging, spool, passwords, self.max_rejects)
            counts = self._counts = reader.counts
            with ledger.noting_failure(counts):
                self._read(work, reader, spooled, earlier)
                application = Application(database, tables, ledger, self._reading.names)
                step = application.rehearse if self._dry_run else application.apply
                step(counts, self.min_snapshot_ratio)
        self._applied = counts
        self._describe(application)
        return counts

    def _prepare_tables(self, database: Database) -> None:
        prepare(database, self._tables)
        if self.create_views:
            create_views(database, self._tables)

    def _describe(self, application: Application) -> None:
        self._details = {
            "table": self.table,
            "tenant": self._tenant,
            "active": application.active,
            "reject_reasons": application.reject_reasons,
        }

    def _reader(
        self,
        staging: Staging,
        spool: Spool,
        passwords: Mapping[str, str],
        max_rejects: float,
        mine: Callable[[str], bool] | None = None,
    ) -> Reader:
        return Reader(
            hook=self.hook,
            staging=staging,
            spool=spool,
            reading=self._reading,
            from_directory=self._source == "directory",
            softphones=self.softphones,
            passwords=passwords,
            chunk_size=self.chunk_size,
            max_rejects=max_rejects,
            close_missing=self.deactivate_missing,
            min_snapshot_ratio=self.min_snapshot_ratio,
            mine=mine,
        )

    @staticmethod
    def _read(work: Interruptible, reader: Reader, spooled: tuple[int, int] | None, earlier: Counts) -> None:
        try:
            reader.load(spooled, reader.staging.staged())
            work.loop(reader.read())
        finally:
            for name in SPENT:
                setattr(reader.counts, name, getattr(reader.counts, name) + getattr(earlier, name))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Report to OpenLineage what was read and written; a failed attempt has written only the run log.

        :param task_instance: not used
        """
        if self._counts is None:
            return None
        interfaces = [DIRECTORY if self._source == "directory" else AGENT_INFO]
        if self.softphones == "login_params":
            interfaces.append(LOGIN_PARAMS)
        elif self.softphones == "directory" and DIRECTORY not in interfaces:
            interfaces.append(DIRECTORY)
        return lineage(
            self.sql_conn_id,
            [] if self._dry_run else rows_written(self._tables, self._applied),
            self.accounts_sql,
            [(self.hook.settings.base_url, interface.path) for interface in interfaces],
        )

    def _check_arguments(self) -> None:
        if self.softphones not in SOFTPHONES:
            raise ValueError(f"softphones must be one of {', '.join(SOFTPHONES)}, not {self.softphones!r}")
        if self._accounts is not None and self.accounts_sql:
            raise ValueError("Set accounts or accounts_sql, not both")
        if self.accounts_sql is not None and not self.accounts_sql.strip():
            raise ValueError("accounts_sql is empty")
        if self._has_source and self._accounts is None and self.accounts_sql is None:
            raise ValueError(
                "accounts or accounts_sql was set but rendered to None. Pass an empty list to sync nothing, "
                "or omit both to sync the directory"
            )
        own = type(self).account_passwords is not CCAgentsToSqlOperator.account_passwords
        if self.softphones == "login_params" and not self.passwords_conn_id and not own:
            raise ValueError(
                "softphones='login_params' requires passwords_conn_id or an overridden account_passwords()"
            )
        if not 1 <= self.chunk_size <= 10_000:
            raise ValueError(f"chunk_size must be from 1 to 10000, not {self.chunk_size}")
        if not 0 <= self.min_snapshot_ratio <= 1:
            raise ValueError(f"min_snapshot_ratio must be from 0 to 1, not {self.min_snapshot_ratio}")
        if self.max_rejects < 0 or (type(self.max_rejects) is float and self.max_rejects > 1):
            raise ValueError(
                f"max_rejects must be a share from 0.0 to 1.0 or a whole number, not {self.max_rejects}"
            )

    @property
    def _tenant(self) -> str:
        return self.tenant or self.cc_conn_id

    @property
    def _keeps_answers(self) -> bool:
        return not self._dry_run

    @property
    def _needs_passwords(self) -> bool:
        return self.softphones == "login_params"

    @property
    def _reading(self) -> Reading:
        return reading_for(self.columns, self._source == "directory", self.softphones)

    @property
    def _tables(self) -> Tables:
        return define(self.columns, self.table, self.history_table, self.reject_table, self.run_table)

    @property
    def _source(self) -> str:
        if self._accounts is not None:
            return "accounts"
        return "accounts_sql" if self.accounts_sql else "directory"

    def _codes(self, warehouse: Database) -> Iterable[Any] | None:
        if self._source == "directory":
            return None
        if self._source == "accounts":
            return AccountList(self._accounts).codes
        return rows_of_one_column(warehouse.stream(self.accounts_sql or ""))

    def _run_key(self, context: Context) -> dict[str, Any]:
        task = context.get("ti")
        return {
            "dag_id": self.dag_id,
            "task_id": self.task_id,
            # Outside a DAG run, nothing distinguishes one run from the next, so no run is resumed.
            "run_id": getattr(task, "run_id", f"none__{uuid.uuid4()}"),
            "map_index": getattr(task, "map_index", -1),
            "tenant": self._tenant,
        }

    def _log_plan(
        self, spooled: tuple[int, int] | None, warehouse: Database, tenant: str, active: int
    ) -> None:
        self.log.info(
            "Plan%s: sync %s of %s (connection %r, softphones=%r) into %s on %s (connection %r), tenant %r, "
            "where %s agents are active.",
            " (dry run)" if self._dry_run else "",
            "the directory" if spooled is None else f"{spooled[1]:,} accounts ({self._source})",
            *(self.hook.settings.base_url, self.cc_conn_id, self.softphones),
            *(self.table, warehouse.dialect.name, self.sql_conn_id, tenant, f"{active:,}"),
        )

    def _result(self, context: Context, counts: Counts, seconds: float) -> dict[str, Any]:
        result = {**asdict(counts), "seconds": round(seconds, 3)}
        if not self._dry_run:
            self.log.info("Synced: %s", ", ".join(f"{name} {value}" for name, value in result.items()))
        else:
            self.log.info(
                "Dry run: would add %d, change %d, reactivate %d and deactivate %d agents, and reject %d.",
                *(counts.added, counts.changed, counts.reactivated, counts.deactivated, counts.rejected),
            )
            # Nothing was updated, so DAGs scheduled on these assets must not start. Airflow reads the outlets
            # when the task has ended. This is the copy that it runs; the DAG's own task keeps its outlets.
            self.outlets = []
        result |= self._details
        events = context.get("outlet_events")
        if events is not None and self._ledger is not None:
            run = {"run_key": self._ledger.run_key, "started_at": self._ledger.started_at.isoformat()}
            for outlet in self.outlets:
                if isinstance(outlet, Asset):  # only assets have events; Airflow cannot look up others
                    events[outlet].extra.update(run | result)
        return result


def cc_agents_sync(
    group_id: str,
    *,
    shards: int,
    cc_conn_id: str | Sequence[str] = CCManagementHook.default_conn_name,
    accounts: list[str] | XComArg | str | None = None,
    accounts_sql: str | None = None,
    dry_run: bool = False,
    outlets: Any = None,
    operator: type[CCAgentsToSqlOperator] = CCAgentsToSqlOperator,
    **arguments: Any,
) -> TaskGroup:
    """Build a task group that does the operator's work with many tasks, on any executor.

    ``prepare`` signs in and reads the source and, if needed, the directory, once. Each mapped ``read`` task
    queries one shard of the accounts. When all shards are read, ``apply`` applies all answers in one
    transaction and updates the assets. In the run log, the group is one run.

    A dry run writes nothing that tasks could share, so ``apply`` does it alone.

    :param group_id: ID of the group; also the task ID of the run in the run log
    :param shards: number of tasks that read, 1 to 1,000. Each gets its share of the connection's
        ``max_concurrency`` and ``requests_per_second``
    :param cc_conn_id: connection of type ``cc_management`` (templated); or a list of them (not templated):
        one nested group is created for each, and none waits for another
    :param accounts: as for the operator, and likewise ``accounts_sql``
    :param dry_run: as for the operator
    :param outlets: outlets of ``apply``
    :param operator: a subclass of the operator, for example with more columns or another source of passwords
    :param arguments: all other arguments of the operator and of its base class, for each task: ``retries``,
        ``pool`` …
    :return: the group
    :raises ValueError: an invalid number of shards, or one tenant for several contact centers
    """
    if not 1 <= shards <= 1000:
        raise ValueError(f"shards must be from 1 to 1000, not {shards}")
    arguments |= {"accounts": accounts, "accounts_sql": accounts_sql, "dry_run": dry_run}
    arguments |= {"outlets": outlets, "operator": operator}
    with TaskGroup(group_id) as group:
        if isinstance(cc_conn_id, str):
            _add_tasks(str(group.group_id), shards, cc_conn_id=cc_conn_id, **arguments)
            return group
        if arguments.get("tenant") is not None:
            raise ValueError("tenant cannot be set for several contact centers: omit it")
        for conn_id in cc_conn_id:
            cc_agents_sync(re.sub(r"[^\w-]", "_", conn_id), shards=shards, cc_conn_id=conn_id, **arguments)
    return group


def _add_tasks(
    group: str,
    shards: int,
    *,
    accounts: Any,
    accounts_sql: str | None,
    dry_run: bool,
    outlets: Any,
    operator: type[CCAgentsToSqlOperator],
    **arguments: Any,
) -> None:
    source: dict[str, Any] = {"accounts": accounts, "accounts_sql": accounts_sql}
    if dry_run:
        operator(task_id="apply", dry_run=True, outlets=outlets, **source, **arguments)
        return
    from_directory = accounts is None and accounts_sql is None
    arguments |= {"group": group, "shards": shards, "from_directory": from_directory}
    prepare_task = _step(Prepare, operator)(task_id="prepare", **source, **arguments)
    arguments.pop("trigger_rule", None)  # it applies to the tasks before the group
    read = _step(Read, operator).partial(task_id="read", **arguments).expand(shard=list(range(shards)))
    prepare_task >> read >> _step(Apply, operator)(task_id="apply", outlets=outlets, **arguments)


@cache
def _step(step: Any, operator: type[CCAgentsToSqlOperator]) -> Any:
    """Return a subclass of the operator that does one step."""

    @wraps(step.__init__)
    def init(self: Any, **kwargs: Any) -> None:
        step.__init__(self, **kwargs)

    # Airflow finds the arguments of a class only if the class has its own constructor.
    own = {"__module__": operator.__module__, "__init__": init}
    bases = (step, operator)
    return types.new_class(f"{operator.__name__}{step.__name__}", bases, exec_body=lambda it: it.update(own))
