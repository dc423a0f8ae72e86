"""Applies a run: one transaction moves all of its staged answers into the tables, or none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.api.text import printable
from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.sync import metrics
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import Database
from airflow_provider_cc.sync.ledger import Ledger
from airflow_provider_cc.sync.schema import Tables

log = logging.getLogger(__name__)

#: Maximum number of examples that a dry run shows, of all kinds together.
EXAMPLES = 50
#: Number of reasons of rejects that a run returns; the most frequent ones.
REASONS = 20
#: Possible effects of an answer on the table, in addition to "rejected", "later" and "none".
CHANGES = ("added", "changed", "unchanged", "reactivated", "deactivated")
#: Verbs that a dry run logs for them.
_VERBS = {
    "added": "add",
    "changed": "change",
    "reactivated": "reactivate",
    "deactivated": "deactivate",
    "rejected": "reject",
}


class Application:
    """The statements that apply one run.

    Each is standard SQL and joins staging with a table; the counts are a GROUP BY of the difference.

    :param database: the warehouse
    :param tables: the tables
    :param run: the run's row in the run log
    :param delivered: the columns that the source returns; no other columns are compared or written
    """

    def __init__(self, database: Database, tables: Tables, run: Ledger, delivered: Sequence[str]) -> None:
        self._database = database
        self._tables = tables
        self._run = run
        self._delivered = tuple(delivered)
        #: Active rows of the tenant after the run.
        self.active = 0
        #: ``endpoint: code`` → number of rejected accounts, the most frequent ones first.
        self.reject_reasons: dict[str, int] = {}

    def apply(self, counts: Counts, min_snapshot_ratio: float) -> None:
        """Apply the run, and close it in the run log.

        :param counts: counts of the run so far; those of the tables are added
        :param min_snapshot_ratio: minimum share of the active rows that must stay active
        :raises CCError: too many rows would be closed, or the counts do not reconcile; nothing has changed
        """

        def work(connection: sa.engine.Connection) -> None:
            self._run.lock(connection)
            if self._run.hold(connection).finished_at is not None:
                return  # an earlier attempt of this transaction was committed; only its confirmation was lost
            self._run.seal(connection)
            self._database.dialect.before_apply(
                connection, self._tables.stage, self._run.answer_keys, counts.unique
            )
            self._count(connection, counts, min_snapshot_ratio)
            self._write_agents(connection, counts)
            if self._tables.history is not None:
                self._write_history(connection, self._tables.history)
            self._write_rejects(connection)
            self._run.finish(connection, counts, self._is_complete(connection))
            self._run.empty(connection)

        with metrics.phase("apply", self._run.tags):
            self._database.transaction(work)
        metrics.applied(counts, self._run.started_at, self._run.now() - self._run.started_at, self._run.tags)

    def rehearse(self, counts: Counts, min_snapshot_ratio: float) -> None:
        """Count what applying the run would change, and log examples.

        :param counts: counts of the run so far; those of the tables are added
        :param min_snapshot_ratio: minimum share of the active rows that must stay active
        :raises CCError: as in :meth:`apply`
        """

        def work(connection: sa.engine.Connection) -> None:
            self._count(connection, counts, min_snapshot_ratio)
            self._show(connection)

        self._database.transaction(work)

    def _count(self, connection: sa.engine.Connection, counts: Counts, min_snapshot_ratio: float) -> None:
        agent = self._tables.agent
        change = self._change().label("change")
        difference = sa.select(change).select_from(self._joined()).where(self._is_mine()).subquery()
        rows = connection.execute(
            sa.select(difference.c.change, sa.func.count()).group_by(difference.c.change)
        )
        found: dict[str, int] = {name: number for name, number in rows}
        for name in CHANGES:
            setattr(counts, name, found.get(name, 0))
        # A later run has already read these accounts: its answers are kept.
        counts.unchanged += found.get("later", 0)
        applied = counts.added + counts.changed + counts.unchanged + counts.reactivated
        if applied != counts.synced:
            raise CCError(f"{counts.synced} accounts were read, but {applied} are staged")
        active = connection.execute(
            sa.select(sa.func.count()).where(agent.c.tenant == self._run.tenant, agent.c.is_active)
        ).scalar_one()
        if counts.deactivated and active - counts.deactivated < min_snapshot_ratio * active:
            raise CCError(
                f"{counts.deactivated} of {active} active rows would be closed, more than min_snapshot_ratio="
                f"{min_snapshot_ratio} allows. No agents were deactivated. If this drop is expected, lower "
                "min_snapshot_ratio for one run"
            )
        self.active = active - counts.deactivated + counts.added + counts.reactivated
        self.reject_reasons = self._count_reasons(connection) if counts.rejected else {}

    def _count_reasons(self, connection: sa.engine.Connection) -> dict[str, int]:
        stage, number = self._tables.stage, sa.func.count().label("number")
        reasons = (
            sa.select(stage.c.endpoint, stage.c.code, number)
            .where(self._is_mine(), stage.c.endpoint != "")
            .group_by(stage.c.endpoint, stage.c.code)
            .order_by(number.desc(), stage.c.endpoint, stage.c.code)
            .limit(REASONS)
        )
        return {f"{endpoint}: {code}": count for endpoint, code, count in connection.execute(reasons)}

    def _change(self) -> Any:
        """Return an answer's effect on the table, as an expression over :meth:`_joined`."""
        stage, agent = self._tables.stage, self._tables.agent
        late = agent.c.synced_at >= stage.c.read_at
        return sa.case(
            (stage.c.outcome == "reject", "rejected"),
            (
                sa.and_(stage.c.outcome == "gone", sa.or_(agent.c.account.is_(None), ~agent.c.is_active)),
                "none",
            ),
            (sa.and_(stage.c.outcome == "gone", late), "none"),
            (stage.c.outcome == "gone", "deactivated"),
            (agent.c.account.is_(None), "added"),
            (late, "later"),
            (~agent.c.is_active, "reactivated"),
            (
                sa.or_(self._differs(stage, agent, self._delivered), agent.c.is_active.is_(None)),
                "changed",
            ),
            else_="unchanged",
        )

    def _write_agents(self, connection: sa.engine.Connection, counts: Counts) -> None:
        stage, agent = self._tables.stage, self._tables.agent
        tenant = self._run.tenant
        mine = sa.and_(
            agent.c.tenant == tenant,
            agent.c.account == stage.c.account,
            self._is_mine(),
            # A column that the user added to a table is null at first.
            sa.or_(agent.c.synced_at < stage.c.read_at, agent.c.synced_at.is_(None)),
        )
        values = {name: stage.c[name] for name in self._delivered}
        moved = {"changed_at": stage.c.read_at, "synced_at": stage.c.read_at}
        if counts.unchanged:
            same = ~self._differs(stage, agent, self._delivered)
            connection.execute(
                sa.update(agent)
                .where(mine, stage.c.outcome == "row", agent.c.is_active, same)
                .values(synced_at=stage.c.read_at)
            )
        if counts.changed or counts.reactivated:
            # After the unchanged rows, whose synced_at is now that of their answer, so this skips them.
            connection.execute(
                sa.update(agent)
                .where(mine, stage.c.outcome == "row")
                .values(is_active=True, **moved, **values)
            )
        if counts.deactivated:
            connection.execute(
                sa.update(agent)
                .where(mine, stage.c.outcome == "gone", agent.c.is_active)
                .values(is_active=False, **moved)
            )
        if counts.added:
            new = (
                sa.select(
                    sa.literal(tenant),
                    stage.c.account,
                    sa.true(),
                    *(stage.c.read_at for _ in range(3)),
                    *values.values(),
                )
                .select_from(self._joined())
                .where(self._is_mine(), stage.c.outcome == "row", agent.c.account.is_(None))
            )
            names = ("tenant", "account", "is_active", "first_seen_at", "changed_at", "synced_at", *values)
            connection.execute(agent.insert().from_select(names, new, include_defaults=False))

    def _write_history(self, connection: sa.engine.Connection, history: sa.Table) -> None:
        """Close the versions that no longer match their row, and open those that are missing.

        Both follow the agent table, which is already written: a version begins and ends when its row changed.
        So a history that was turned on later, or off for a while, corrects itself.
        """
        stage, agent, tenant = self._tables.stage, self._tables.agent, self._run.tenant
        names = [column.name for column in agent.columns if column.name in history.c]
        names = [name for name in names if name not in ("tenant", "account")]
        is_open = sa.and_(
            history.c.tenant == tenant, history.c.account == agent.c.account, history.c.valid_to.is_(None)
        )
        staged = sa.and_(
            agent.c.tenant == tenant,
            agent.c.account == stage.c.account,
            self._is_mine(),
            stage.c.outcome == "row",
        )
        # A version that began after its row changed was not written by a sync: it ends with this answer.
        end = sa.case(
            (agent.c.changed_at > history.c.valid_from, agent.c.changed_at), else_=agent.c.synced_at
        )
        connection.execute(
            sa.update(history)
            .where(is_open, agent.c.tenant == tenant, ~agent.c.is_active)
            .values(valid_to=end, closed_by=self._run.run_key)
        )
        connection.execute(
            sa.update(history)
            .where(is_open, staged, agent.c.is_active, self._differs(agent, history, names))
            .values(valid_to=end, closed_by=self._run.run_key)
        )
        past = history.alias("past")
        # Snowflake accepts a correlated subquery here if it returns one value, but not EXISTS.
        last_end = (
            sa.select(sa.func.max(past.c.valid_to))
            .where(past.c.tenant == tenant, past.c.account == agent.c.account)
            .scalar_subquery()
        )
        begin = sa.case((last_end > agent.c.changed_at, agent.c.synced_at), else_=agent.c.changed_at)
        missing = (
            sa.select(
                sa.literal(tenant),
                agent.c.account,
                begin,
                sa.null(),
                sa.literal(self._run.run_key),
                *(agent.c[name] for name in names),
            )
            .select_from(stage.join(agent, staged).outerjoin(history, is_open))
            .where(self._is_mine(), agent.c.is_active, history.c.account.is_(None))
        )
        columns = ("tenant", "account", "valid_from", "valid_to", "opened_by", *names)
        connection.execute(history.insert().from_select(columns, missing, include_defaults=False))

    def _write_rejects(self, connection: sa.engine.Connection) -> None:
        stage, reject = self._tables.stage, self._tables.reject
        fixed = self._run.reject_values()
        told = (stage.c.account, stage.c.endpoint, stage.c.code, stage.c.message)
        rows = sa.select(
            *(sa.literal(value, reject.c[name].type) for name, value in fixed.items()), *told
        ).where(self._is_mine(), stage.c.endpoint != "")
        columns = (*fixed, "account", "endpoint", "code", "message")
        connection.execute(reject.insert().from_select(columns, rows, include_defaults=False))

    def _is_complete(self, connection: sa.engine.Connection) -> bool:
        """Whether the run, after it is written, has read or rejected every active agent of the tenant."""
        stage, agent = self._tables.stage, self._tables.agent
        if "softphone_number" in agent.c and "softphone_number" not in self._delivered:
            return False
        mine = sa.and_(self._is_mine(), stage.c.account == agent.c.account)
        left_out = (
            sa.select(sa.func.count())
            .select_from(agent.outerjoin(stage, mine))
            .where(agent.c.tenant == self._run.tenant, agent.c.is_active, stage.c.account.is_(None))
            # Rows that another run has read in the meantime also count as read.
            .where(sa.or_(agent.c.synced_at < self._run.started_at, agent.c.synced_at.is_(None)))
        )
        return connection.execute(left_out).scalar_one() == 0

    def _show(self, connection: sa.engine.Connection) -> None:
        """Log examples of what would change, and of rejects, which a dry run does not write."""
        stage, agent = self._tables.stage, self._tables.agent
        pairs = [
            column
            for name in self._delivered
            for column in (agent.c[name].label(f"old_{name}"), stage.c[name].label(f"new_{name}"))
        ]
        told = (stage.c.account, self._change().label("change"), stage.c.endpoint, stage.c.message)
        found = sa.select(*told, *pairs).select_from(self._joined()).where(self._is_mine()).subquery()
        rows = connection.execute(
            sa.select(found)
            .where(found.c.change.in_(tuple(_VERBS)))
            .order_by(found.c.account)
            .limit(EXAMPLES)
        )
        for account, change, endpoint, message, *values in rows:
            described = list(zip(self._delivered, values[::2], values[1::2], strict=True))
            if change == "rejected":
                text = f": {endpoint}: {message}"
            elif change == "deactivated":
                text = ""
            elif change == "added":
                text = ": " + ", ".join(f"{name} {new}" for name, _, new in described)
            else:
                text = ", ".join(f"{name} {old} → {new}" for name, old, new in described if old != new)
                text = f": {text or 'no other change'}"
            log.info("would %s %s", _VERBS[change], printable(account + text))

    def _joined(self) -> Any:
        stage, agent = self._tables.stage, self._tables.agent
        key = sa.and_(agent.c.tenant == self._run.tenant, agent.c.account == stage.c.account)
        return stage.outerjoin(agent, key)

    def _is_mine(self) -> Any:
        return self._tables.stage.c.run_key.in_(self._run.answer_keys)

    def _differs(self, left: sa.Table, right: sa.Table, names: Sequence[str]) -> Any:
        comparable = self._database.dialect.comparable
        return sa.or_(
            sa.false(),
            *(comparable(left.c[name]).is_distinct_from(comparable(right.c[name])) for name in names),
        )
