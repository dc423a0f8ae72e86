"""The operator that the provider is for: agents from the contact centre into a database."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from airflow_provider_cc.api.management import (
    AGENT_INFO,
    DIRECTORY,
    LOGIN_PARAMS,
    AgentInfo,
    AgentLoginParams,
    DirectoryAgent,
)
from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import Asset, BaseHook, BaseOperator, in_thread
from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.hooks.lockout import Lockout
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.transfers import tables
from airflow_provider_cc.transfers.account_codes import AccountList, rows_of_one_column, spool_codes
from airflow_provider_cc.transfers.columns import AGENT_COLUMNS, Column
from airflow_provider_cc.transfers.counts import Counts
from airflow_provider_cc.transfers.from_accounts import sync_accounts
from airflow_provider_cc.transfers.from_directory import sync_directory
from airflow_provider_cc.transfers.lineage import lineage, rows_written
from airflow_provider_cc.transfers.reading import Reading
from airflow_provider_cc.transfers.rehearsal import Rehearsal
from airflow_provider_cc.transfers.run import Run
from airflow_provider_cc.transfers.spool import Spool
from airflow_provider_cc.transfers.warehouse import Warehouse, engine_of

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context, XComArg

SOFTPHONES = ("directory", "login_params", "none")


class CCAgentsToSqlOperator(BaseOperator):
    """Keeps a table of who is which agent: account → agent ID, type, status and softphone number.

    Returns the counts of the run as a dict, after checking that they add up.

    Manual: CC-Management, agentAccount/query, queryAgentInfoByAccount and queryAgentLoginParams.

    :param sql_conn_id: connection to the database (templated)
    :param table: the agent table, ``schema.name`` allowed; so for the other tables
    :param history_table: a table with every version of every agent, or ``None``
    :param reject_table: the table of accounts that could not be read, with the reason
    :param run_table: the ledger of runs
    :param accounts: account codes, as a list or an XComArg; shown in the UI as a number (templated)
    :param accounts_sql: instead, a query on ``sql_conn_id`` that returns them in one column (templated). With
        neither, the directory says who there is
    :param softphones: where softphone numbers come from: ``"directory"``, ``"login_params"`` (one more query
        for each account, with the account's own password) or ``"none"``
    :param passwords_conn_id: for login parameters, a connection whose *password* is JSON
        ``{account: password}`` (templated); or override :meth:`account_passwords`
    :param deactivate_missing: close the rows of accounts that the directory no longer knows, each confirmed
        by a query of its own
    :param min_snapshot_ratio: directory: fail before the first write if it lists less than this share of the
        active rows
    :param tenant: part of the key, to tell contact centres apart; ``None`` for the connection id (templated)
    :param chunk_size: accounts in a transaction, 1 to 10,000
    :param max_rejects: rejects beyond which the run fails: a share as a float, a number as an int
    :param dry_run: write nothing; log who would be added, changed and deactivated
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
    """What is kept of an agent. A subclass that wants one more column adds it here."""

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
        self._dry_run = dry_run  # BaseOperator has a method of that name
        self.cc_conn_id = cc_conn_id
        self._counts: Counts | None = None  # none before the run has begun

    @property
    def accounts(self) -> Any:
        """The account codes; once rendered, a list that shows as a number."""
        return self._accounts

    @accounts.setter
    def accounts(self, rendered: Any) -> None:
        # Airflow sets it when it has rendered the template, and keeps a copy for the UI.
        self._accounts = None if rendered is None else AccountList(rendered)

    @cached_property
    def hook(self) -> CCManagementHook:
        """The hook."""
        return CCManagementHook(self.cc_conn_id)

    def account_passwords(self) -> Mapping[str, str]:
        """Return the passwords for login parameters, account → password; override it for another place.

        :raises CCConfigError: the connection's password is not the JSON that is wanted
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

    @without_locals
    def execute(self, context: Context) -> dict[str, Any]:
        """Sync.

        :raises ValueError: arguments that do not go together
        :raises CCConfigError: a connection or a table that does not fit
        :raises CCError: the run cannot go on; what is committed stays, and a retry goes on from there
        """
        began = time.monotonic()
        self._check_arguments()
        passwords = self.account_passwords() if self.softphones == "login_params" else None
        reading = self._reading()
        warehouse = self._warehouse(context, reading)
        # The connection is read and checked here: nothing talks to Airflow once the event loop runs.
        self.hook.sessions  # noqa: B018
        with Spool() as spool:
            counts = self._counts = self._open(warehouse, spool)
            try:
                lockout = self.hook.lockout
                if passwords:
                    lockout.load()
                asyncio.run(self._sync(warehouse, spool, counts, reading, passwords, lockout))
                counts.check()
                if counts.unique and counts.rejected == counts.unique:
                    raise CCError(f"all {counts.unique} accounts were rejected: see {self.reject_table}")
            except BaseException as error:
                with suppress(Exception):  # what stopped the run matters more than that it is not noted
                    warehouse.fail(counts, str(error) if isinstance(error, CCError) else type(error).__name__)
                raise
            warehouse.finish(counts)
        return self._result(context, counts, time.monotonic() - began)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage what was read and written; also by a try that failed, as its chunks stay.

        :param task_instance: not needed
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
            [] if self._dry_run else rows_written(self._tables, self._counts),
            self.accounts_sql,
            [(self.hook.settings.base_url, interface.path) for interface in interfaces],
        )

    def _check_arguments(self) -> None:
        if self.softphones not in SOFTPHONES:
            raise ValueError(f"softphones must be one of {', '.join(SOFTPHONES)}, not {self.softphones!r}")
        if self._accounts is not None and self.accounts_sql:
            raise ValueError("accounts and accounts_sql exclude each other: give one of them, or neither")
        if self.accounts_sql is not None and not self.accounts_sql.strip():
            raise ValueError("accounts_sql is empty")
        if self._has_source and self._accounts is None and self.accounts_sql is None:
            raise ValueError(
                "accounts or accounts_sql was given, but rendered to None: that is not taken for the wish to "
                "sync the whole directory. An empty list is a run of none"
            )
        own = type(self).account_passwords is not CCAgentsToSqlOperator.account_passwords
        if self.softphones == "login_params" and not self.passwords_conn_id and not own:
            raise ValueError(
                "softphones='login_params' needs passwords_conn_id, or account_passwords() overridden"
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
    def _tables(self) -> tables.Tables:
        return tables.define(self.columns, self.table, self.history_table, self.reject_table, self.run_table)

    @property
    def _source(self) -> str:
        if self._accounts is not None:
            return "accounts"
        return "accounts_sql" if self.accounts_sql else "directory"

    def _reading(self) -> Reading:
        by_login = [AgentLoginParams] if self.softphones == "login_params" else []
        if self._source == "directory":
            left_out = ["softphone_number"] if self.softphones == "none" else []
            return Reading(self.columns, [*by_login, DirectoryAgent], left_out)
        listed = [DirectoryAgent] if self.softphones == "directory" else []
        return Reading(self.columns, [AgentInfo, *by_login, *listed])

    def _warehouse(self, context: Context, reading: Reading) -> Warehouse:
        task = context.get("ti")
        run_key = {
            "dag_id": self.dag_id,
            "task_id": self.task_id,
            # Outside a DAG run nothing tells one run from the next, so none is taken up again.
            "run_id": getattr(task, "run_id", f"none__{uuid.uuid4()}"),
            "map_index": getattr(task, "map_index", -1),
            "tenant": self.tenant or self.cc_conn_id,
        }
        sql_hook: Any = BaseHook.get_hook(self.sql_conn_id)
        engine = engine_of(sql_hook, self.sql_conn_id)
        kind = Rehearsal if self._dry_run else Warehouse
        return kind(engine, self._tables, run_key, reading.names)

    def _open(self, warehouse: Warehouse, spool: Spool) -> Counts:
        """Spool the accounts, and begin the run in the ledger or take up an earlier try's."""
        counts = Counts()
        if self._source != "directory":
            codes = (
                AccountList(self._accounts).codes
                if self._source == "accounts"
                else rows_of_one_column(warehouse.query(self.accounts_sql or ""))
            )
            counts.requested, counts.unique, counts.rejected = spool_codes(codes, spool)
            counts.duplicates = counts.requested - counts.unique
        earlier = warehouse.begin(self._source)
        if earlier is not None:
            self._resume(warehouse, spool, counts, earlier)
        warehouse.write_bad_codes(spool.bad())
        return counts

    def _resume(self, warehouse: Warehouse, spool: Spool, counts: Counts, earlier: Counts) -> None:
        rejected, not_in_source = spool.mark_done(warehouse.finished_rejects())
        counts.rejected += rejected
        synced, more = spool.mark_done(warehouse.finished_rows())
        # Of what another DAG has synced since, only what this run was to ask for is its business.
        counts.synced = synced + spool.skip(warehouse.later_rows())
        counts.requested += not_in_source + more
        counts.unique += not_in_source + more
        counts.resumed = rejected + counts.synced
        for name in ("added", "changed", "reactivated", "deactivated", "requests", "sign_ins"):
            setattr(counts, name, getattr(earlier, name))
        counts.unchanged = counts.synced - counts.added - counts.changed - counts.reactivated
        self.log.info(
            "An earlier try of this run has finished %d accounts; going on from there.", counts.resumed
        )

    async def _sync(
        self,
        warehouse: Warehouse,
        spool: Spool,
        counts: Counts,
        reading: Reading,
        passwords: Mapping[str, str] | None,
        lockout: Lockout,
    ) -> None:
        before = (counts.requests, counts.sign_ins)
        async with self.hook.bulk() as client:
            run = Run(
                client=client,
                warehouse=warehouse,
                spool=spool,
                counts=counts,
                reading=reading,
                chunk_size=self.chunk_size,
                concurrency=self.hook.settings.max_concurrency,
                max_rejects=self.max_rejects,
                passwords=passwords,
                lockout=lockout,
                close_missing=self.deactivate_missing,
                sign_ins=lambda: self.hook.sessions.sign_ins,
            )
            try:
                if self._source == "directory":
                    await sync_directory(run, self.min_snapshot_ratio)
                else:
                    await sync_accounts(run, softphones_from_directory=self.softphones == "directory")
            finally:
                await in_thread(lockout.save)()
                counts.requests = before[0] + client.requests
                counts.sign_ins = before[1] + self.hook.sessions.sign_ins
            if run.refusal is not None and counts.rejected == counts.unique:
                raise run.refusal
            run.writer.check_rejects()
            run.writer.log_rejects()

    def _result(self, context: Context, counts: Counts, seconds: float) -> dict[str, Any]:
        result = {**asdict(counts), "seconds": round(seconds, 3)}
        self.log.info("Synced: %s", ", ".join(f"{name} {value}" for name, value in result.items()))
        if self._dry_run:
            # Nothing was updated, so nothing that waits for these assets may start. Airflow reads the
            # outlets when the task has ended; this is the copy that it runs, the DAG's own task keeps them.
            self.outlets = []
        events = context.get("outlet_events")
        if events is not None:
            for outlet in self.outlets:
                if isinstance(outlet, Asset):  # only these have events; Airflow refuses to look up others
                    events[outlet].extra.update(result)
        return result
