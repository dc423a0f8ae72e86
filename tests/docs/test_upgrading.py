"""The statements for a new column, as the page on upgrading shows them, on every database that is tested."""

from __future__ import annotations

import re

import pytest
import sqlalchemy

from airflow_provider_cc.api.management import AgentInfo
from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync.columns import AGENT_COLUMNS, Column
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from tests.docs.pages import blocks, section
from tests.transfers.conftest import Sync
from tests.transfers.database import Database, on_each_database

SITE = Column("site", sqlalchemy.String(64), {AgentInfo: lambda answer: "north"})


class WithSite(CCAgentsToSqlOperator):
    columns = (*AGENT_COLUMNS, SITE)


@on_each_database
def test_a_table_gets_a_new_column(database: Database, center: Simulator, sync: Sync) -> None:
    accounts = list(center.accounts(limit=3))
    sync(accounts=accounts, history_table="cc_agent_history")
    *adding, drop = (block.code.strip() for block in blocks("sql", "schema"))

    assert len(adding) == 3
    for statement in adding:
        with pytest.raises(CCConfigError) as told:
            sync(WithSite, accounts=accounts, history_table="cc_agent_history")
        # On MariaDB it goes on with the collation, which is the table's own here.
        assert re.search(f": {re.escape(statement)}( CHARACTER SET [^;]*)?$", str(told.value))
        database.execute(statement)
    counts = sync(WithSite, accounts=accounts, history_table="cc_agent_history")

    assert (counts["changed"], counts["added"]) == (3, 0)
    assert database.query("SELECT DISTINCT site FROM cc_agent") == [("north",)]
    versions = database.query("SELECT site, COUNT(*) FROM cc_agent_history GROUP BY site ORDER BY site")
    assert sorted(versions, key=str) == [("north", 3), (None, 3)]

    # Back to the version before, which leaves the column alone, and then does without it.
    assert sync(accounts=accounts, history_table="cc_agent_history")["unchanged"] == 3
    database.execute(drop)
    assert sync(accounts=accounts, history_table="cc_agent_history")["unchanged"] == 3


def test_the_text_is_the_one_that_is_shown(center: Simulator, sqlite_sync: Sync) -> None:
    accounts = list(center.accounts(limit=1))
    sqlite_sync(accounts=accounts)

    with pytest.raises(CCConfigError) as told:
        sqlite_sync(WithSite, accounts=accounts)

    # The page breaks the line.
    assert str(told.value) in " ".join(section("docs/upgrading.md", "## Tables").split())
