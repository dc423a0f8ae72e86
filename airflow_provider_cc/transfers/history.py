"""The history table: one row for each version of an agent, without gap or overlap."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.transfers.difference import Difference, Row


def write(
    connection: sa.engine.Connection,
    history: sa.Table,
    agent: sa.Table,
    tenant: str,
    delivered: Sequence[str],
    difference: Difference,
    stamped: Collection[str],
    stamp: datetime,
) -> None:
    """Close the versions that end with this run and open those that begin; before the agent table changes.

    An active row that has no open version, or another one – the table was written without its history for a
    while – gets one from now on.

    :param connection: in the chunk's transaction
    :param history: the history table
    :param agent: the agent table, still as it was
    :param tenant: tenant
    :param delivered: the columns that the source delivers
    :param difference: what the chunk changes
    :param stamped: accounts whose row is as before and stamped already
    :param stamp: when the run began
    """
    moved = difference.changed + difference.reactivated
    before = _attributes(connection, agent, history, tenant, [account for account, _ in moved])
    unversioned = _out_of_step(connection, agent, history, tenant, [*difference.unchanged, *stamped])
    ending = [account for account, _ in moved] + difference.gone + unversioned
    if ending:
        connection.execute(
            sa.update(history)
            .where(history.c.tenant == tenant, history.c.account.in_(ending), history.c.valid_to.is_(None))
            .values(valid_to=stamp)
        )
    beginning = [_version(row, delivered, {}) for row in difference.added]
    beginning += [_version(row, delivered, before[row[0]]) for row in moved]
    now = _attributes(connection, agent, history, tenant, unversioned)
    beginning += [{"account": account, **values} for account, values in now.items()]
    if beginning:
        # Every row names every column: a statement for many rows is made from the first one.
        empty = dict.fromkeys(_names(agent, history))
        fixed = {"tenant": tenant, "valid_from": stamp, "valid_to": None}
        connection.execute(history.insert(), [{**empty, **version, **fixed} for version in beginning])


def close_inactive(connection: sa.engine.Connection, history: sa.Table, agent: sa.Table, tenant: str) -> None:
    """Close what a run without history left open: versions of rows that have been closed since.

    :param connection: in a transaction
    :param history: the history table
    :param agent: the agent table
    :param tenant: tenant
    """
    closed = sa.and_(agent.c.tenant == tenant, sa.not_(agent.c.is_active))
    since = sa.select(agent.c.changed_at).where(closed, agent.c.account == history.c.account)
    connection.execute(
        sa.update(history)
        .where(
            history.c.tenant == tenant,
            history.c.valid_to.is_(None),
            history.c.account.in_(sa.select(agent.c.account).where(closed)),
        )
        .values(valid_to=since.scalar_subquery())
    )


def _version(row: Row, delivered: Sequence[str], before: dict[str, Any]) -> dict[str, Any]:
    account, values = row
    return {"account": account, **before, **dict(zip(delivered, values, strict=True))}


def _names(agent: sa.Table, history: sa.Table) -> list[str]:
    keys = {column.name for column in history.primary_key}
    return [column.name for column in agent.columns if column.name in history.c and column.name not in keys]


def _attributes(
    connection: sa.engine.Connection,
    agent: sa.Table,
    history: sa.Table,
    tenant: str,
    accounts: Sequence[str],
) -> dict[str, dict[str, Any]]:
    if not accounts:
        return {}
    names = _names(agent, history)
    query = sa.select(agent.c.account, *(agent.c[name] for name in names)).where(
        agent.c.tenant == tenant, agent.c.account.in_(accounts)
    )
    return {account: dict(zip(names, values, strict=True)) for account, *values in connection.execute(query)}


def _out_of_step(
    connection: sa.engine.Connection,
    agent: sa.Table,
    history: sa.Table,
    tenant: str,
    accounts: Sequence[str],
) -> list[str]:
    """Return the accounts whose row is not as their open version says, or that have none."""
    if not accounts:
        return []
    names = _names(agent, history)
    same_agent = sa.and_(history.c.tenant == agent.c.tenant, history.c.account == agent.c.account)
    query = (
        sa.select(agent.c.account, *(table.c[name] for table in (agent, history) for name in names))
        .select_from(agent.join(history, sa.and_(same_agent, history.c.valid_to.is_(None))))
        .where(agent.c.tenant == tenant, agent.c.account.in_(accounts))
    )
    # Compared here: not every column type that a subclass may add can be compared by every database.
    in_step = {
        account
        for account, *values in connection.execute(query)
        if values[: len(names)] == values[len(names) :]
    }
    return [account for account in accounts if account not in in_step]
