"""A dry run: reads the tables, writes nothing, and logs what a real run would do."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa

from airflow_provider_cc.api.text import printable
from airflow_provider_cc.transfers.counts import Counts
from airflow_provider_cc.transfers.difference import Chunk, Known, compare
from airflow_provider_cc.transfers.tables import check, database_now
from airflow_provider_cc.transfers.warehouse import Warehouse, counted

log = logging.getLogger(__name__)


class Rehearsal(Warehouse):
    """A warehouse that only says what it would write."""

    _locks_rows = False  # nobody waits for it, and a right to read is enough

    def begin(self, source: str) -> Counts | None:
        """Look which tables there are yet.

        :raises CCConfigError: one of them lacks columns
        """
        inspector = sa.inspect(self._engine)
        there = [
            table for table in self._tables.present() if inspector.has_table(table.name, schema=table.schema)
        ]
        self._exists = self._tables.agent in there

        def work(connection: sa.engine.Connection) -> datetime:
            check(connection, there)
            return database_now(connection)

        self.stamp = self._transaction(work)
        return None

    def write_bad_codes(self, bad: Iterable[tuple[str, str]]) -> None:
        """Log the account codes that cannot be asked for."""
        for shown, reason in bad:
            log.info("would reject %s: %s", shown, reason)

    def active_count(self) -> int:
        """Return how many rows are active."""
        return super().active_count() if self._exists else 0

    def active_among(self, accounts: Sequence[str]) -> set[str]:
        """Return those accounts that have an active row."""
        return super().active_among(accounts) if self._exists else set()

    def not_seen(self) -> Iterator[str]:
        """Iterate over all active rows: none is stamped, so the caller leaves out whom it has met."""
        if self._exists:
            yield from super().not_seen()

    def write(self, chunk: Chunk, spent: Counts) -> Counts:
        """Log what the chunk would change."""

        def work(connection: sa.engine.Connection) -> dict[str, Known]:
            return self._known(connection, chunk)

        known = self._transaction(work) if self._exists else {}
        difference = compare(chunk, known, self.stamp)
        for account, values in difference.added:
            log.info("would add %s: %s", printable(account), self._described((), values))
        for verb, rows in (("change", difference.changed), ("reactivate", difference.reactivated)):
            for account, values in rows:
                described = self._described(known[account].values, values)
                log.info("would %s %s: %s", verb, printable(account), described)
        for account in difference.gone:
            log.info("would deactivate %s", printable(account))
        return counted(chunk, difference, spent)

    def finish(self, counts: Counts) -> None:
        """Leave the ledger as it is."""

    def fail(self, counts: Counts, error: str) -> None:
        """Leave the ledger as it is."""

    def _described(self, before: Sequence[object], after: Sequence[object]) -> str:
        if not before:
            return ", ".join(f"{name} {value}" for name, value in zip(self._delivered, after, strict=True))
        changes = zip(self._delivered, before, after, strict=True)
        return ", ".join(f"{name} {old} → {new}" for name, old, new in changes if old != new) or "as before"
