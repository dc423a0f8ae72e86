"""For databases that accept a key but do not enforce it."""

from __future__ import annotations

import uuid

import sqlalchemy as sa


def keep_latest(connection: sa.engine.Connection, stage: sa.Table, run_key: str) -> None:
    """Remove all staged answers of a run except the latest one of each account.

    Equal rows cannot be distinguished, so those to keep are copied before all others are deleted.

    :param connection: a connection in a transaction that no other transaction of the run can overlap
    :param stage: the staging table
    :param run_key: the run
    """
    mine, count = stage.c.run_key == run_key, sa.func.count
    answers, accounts = connection.execute(
        sa.select(count(), count(stage.c.account.distinct())).where(mine)
    ).one()
    if answers == accounts:
        return
    names = [column.name for column in stage.columns if column.name != "run_key"]
    order = (stage.c.read_at.desc(), stage.c.outcome.desc())
    place = sa.func.row_number().over(partition_by=stage.c.account, order_by=order).label("place")
    ranked = sa.select(*(stage.c[name] for name in names), place).where(mine).subquery()
    copy = uuid.uuid4().hex
    first = sa.select(sa.literal(copy), *(ranked.c[name] for name in names)).where(ranked.c.place == 1)
    connection.execute(stage.insert().from_select(["run_key", *names], first, include_defaults=False))
    connection.execute(sa.delete(stage).where(mine))
    connection.execute(sa.update(stage).where(stage.c.run_key == copy).values(run_key=run_key))
