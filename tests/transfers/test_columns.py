"""A data engineer adds a column, or another place for passwords, in a subclass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import sqlalchemy as sa

from airflow_provider_cc.api.management import AgentInfo, AgentLoginParams, DirectoryAgent
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync.columns import AGENT_COLUMNS, Column
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from tests.transfers.conftest import Sync
from tests.transfers.database import Database, on_each_database

HISTORY = "cc_agent_history"
KINDS = {4: "audio", 5: "multimedia", 11: "video", 99: "versatile"}


def kind(answer: AgentInfo | DirectoryAgent) -> str | None:
    return KINDS.get(answer.agent_type or 0)


def first_server(answer: AgentLoginParams) -> str | None:
    return answer.sip_servers[0].host if answer.sip_servers else None


class WithKind(CCAgentsToSqlOperator):
    columns: ClassVar[tuple[Column, ...]] = (
        *AGENT_COLUMNS,
        Column("agent_kind", sa.String(20), {AgentInfo: kind, DirectoryAgent: kind}),
    )


class WithServers(CCAgentsToSqlOperator):
    """Keeps the first SIP server, and all of them as JSON; has its passwords from a place of its own."""

    columns: ClassVar[tuple[Column, ...]] = (
        *AGENT_COLUMNS,
        Column("sip_server", sa.String(100), {AgentLoginParams: first_server}),
        Column("sip_ports", sa.JSON(), {AgentLoginParams: lambda it: [s.port for s in it.sip_servers]}),
    )
    known: ClassVar[dict[str, str]] = {}

    def account_passwords(self) -> Mapping[str, str]:
        return self.known


@on_each_database
def test_one_more_column_is_read_compared_and_kept_in_history(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync(WithKind, history_table=HISTORY)
    center.change_agent("agent000003", agent_type=99)

    counts = sync(WithKind, history_table=HISTORY)

    assert counts["changed"] == 1
    assert dict(database.query("SELECT account, agent_kind FROM cc_agent")) == {
        account: KINDS[center.agent(account).agent_type] for account in center.accounts()
    }
    open_versions = f"SELECT agent_kind FROM {HISTORY} WHERE account = 'agent000003' AND valid_to IS NULL"
    assert database.query(open_versions) == [("versatile",)]


def test_one_more_column_comes_from_either_source(center: Simulator, database: Database, sync: Sync) -> None:
    sync(WithKind)

    counts = sync(WithKind, accounts=list(center.accounts()), softphones="none")

    assert database.query("SELECT COUNT(*) FROM cc_agent WHERE agent_kind IS NOT NULL") == [(12,)]
    # What the directory does not say is new, the kind is not.
    assert counts["changed"] == 12
    assert sync(WithKind)["unchanged"] == 12


def test_a_base_operator_on_the_same_table_leaves_the_column_alone(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync(WithKind)
    before = database.query("SELECT account, agent_kind FROM cc_agent ORDER BY account")

    assert sync()["unchanged"] == 12
    assert database.query("SELECT account, agent_kind FROM cc_agent ORDER BY account") == before


def test_passwords_may_come_from_a_method(center: Simulator, database: Database, sync: Sync) -> None:
    WithServers.known = {account: center.agent(account).password for account in center.accounts()}

    counts = sync(WithServers, softphones="login_params", history_table=HISTORY)

    # One for each account, and two pages: only the second one shows that there are no more lines.
    assert (counts["added"], counts["requests"]) == (12, 12 + 2)
    assert database.query("SELECT DISTINCT sip_server FROM cc_agent") == [("10.10.10.11",)]


@on_each_database
def test_a_column_of_a_type_that_cannot_be_compared_by_the_database(
    center: Simulator, database: Database, sync: Sync
) -> None:
    WithServers.known = {account: center.agent(account).password for account in center.accounts()}
    sync(WithServers, softphones="login_params", history_table=HISTORY)
    assert sync(WithServers, softphones="login_params", history_table=HISTORY)["unchanged"] == 12
    center.settings.sip_servers = ()

    counts = sync(WithServers, softphones="login_params", history_table=HISTORY)

    assert counts["changed"] == 12
    assert database.query(f"SELECT COUNT(*) FROM {HISTORY}") == [(24,)]
