"""A reader's accounts in a private temporary file: constant memory for any number of accounts."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

#: Number of accounts handled at a time.
BATCH = 1000

#: To be queried · to be queried, although this run has an answer · not to be queried: an invalid code ·
#: answered by an earlier attempt.
WAITING, AGAIN, BAD, ROW, REJECT, GONE = "waiting", "again", "bad", "row", "reject", "gone"

#: In place of an entry: there are several.
UNSETTLED = b""


class Spool:
    """Distinct accounts in order of arrival, and directory entries; used by one thread at a time.

    The file contains account codes, agent IDs and softphone numbers, never a password, and disappears with
    the run.

    :param clock: returns the time, in seconds, at which an entry arrives
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock

    def __enter__(self) -> Spool:
        # A database without a name is a file that SQLite removes from its folder as soon as it is open, so
        # even a killed attempt leaves no file. Several threads use it, one after the other.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            # It need not survive a crash, so use no journal and do not wait for the disk.
            """
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE account (
                id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, state TEXT NOT NULL, reason TEXT
            );
            CREATE TABLE line (
                code TEXT PRIMARY KEY, pass INTEGER NOT NULL, body BLOB NOT NULL, met_at REAL NOT NULL
            ) WITHOUT ROWID;
            BEGIN;
            """
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add(self, codes: Iterable[str], state: str = WAITING, reason: str | None = None) -> int:
        """Add accounts that are not there yet.

        :param codes: accounts
        :param state: one of the states above
        :param reason: why a code is invalid
        :return: number of new accounts
        """
        before = self._db.total_changes
        rows = ((code, state, reason) for code in codes)
        self._write("INSERT OR IGNORE INTO account (code, state, reason)", rows)
        return self._db.total_changes - before

    def mark(self, codes: Collection[str], state: str) -> None:
        """Change the state of accounts, adding those that are not there yet.

        :param codes: accounts
        :param state: their new state
        """
        update = "ON CONFLICT DO UPDATE SET state = excluded.state"
        self._write("INSERT INTO account (code, state)", [(code, state) for code in codes], update)

    def states(self, codes: Collection[str]) -> dict[str, str]:
        """Return the states of those accounts that are there.

        :param codes: accounts
        """
        return {code: state for code, state in self._select("code, state FROM account", codes)}

    def count(self, state: str) -> int:
        """Return how many accounts are in a state.

        :param state: the state
        """
        (count,) = self._db.execute("SELECT COUNT(*) FROM account WHERE state = ?", (state,)).fetchone()
        return int(count)

    def bad(self) -> Iterator[tuple[str, str]]:
        """Iterate over the codes that cannot be queried, each with the reason."""
        yield from self._db.execute("SELECT code, reason FROM account WHERE state = ? ORDER BY id", (BAD,))

    def waiting(self) -> Iterator[tuple[str, bool]]:
        """Iterate over accounts to be queried, in order of arrival, and whether they have an answer."""
        last = 0
        query = "SELECT id, code, state FROM account WHERE id > ? AND state IN (?, ?) ORDER BY id LIMIT ?"
        while rows := self._db.execute(query, (last, WAITING, AGAIN, BATCH)).fetchall():
            last = rows[-1][0]
            for _, code, state in rows:
                yield code, state == AGAIN

    def meet(self, lines: dict[str, bytes], number: int) -> dict[str, tuple[int, bytes]]:
        """Store directory entries, as described in :class:`airflow_provider_cc.api.directory.SeenLines`."""
        known = {code: (met, body) for code, met, body in self._select("code, pass, body FROM line", lines)}
        now = self.clock()
        news = [
            (code, number, body, now)
            for code, body in lines.items()
            if code not in known or known[code][0] < number
        ]
        self._write("INSERT OR REPLACE INTO line", news)
        return known

    def keep(self, lines: Iterable[tuple[str, bytes, float]]) -> None:
        """Store entries of another spool.

        :param lines: account, packed entry and time of each, from :meth:`lines`
        """
        self._write("INSERT INTO line", ((code, 1, body, met_at) for code, body, met_at in lines))

    def lines(self) -> Iterator[tuple[str, bytes, float]]:
        """Iterate over all entries in order of arrival: account, packed entry and time."""
        yield from self._db.execute("SELECT code, body, met_at FROM line ORDER BY met_at, code")

    def line_count(self) -> int:
        """Return how many accounts have an entry."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM line").fetchone()
        return int(count)

    def all(self) -> Iterator[tuple[str, str | None, bytes | None, float]]:
        """Iterate over the accounts in order of arrival.

        :return: account, why it is invalid, its packed entry, and when that arrived; ``None`` and 0 if absent
        """
        yield from self._db.execute(
            "SELECT code, reason, body, coalesce(met_at, 0)"
            " FROM account LEFT JOIN line USING (code) ORDER BY id"
        )

    def _write(self, insert: str, rows: Iterable[tuple[Any, ...]], conflict: str = "") -> None:
        """Insert many rows per statement, because SQLite releases the interpreter lock for each statement."""
        for batch in batches(rows, BATCH):
            row = f"({','.join('?' * len(batch[0]))})"
            values = list(chain.from_iterable(batch))
            self._db.execute(f"{insert} VALUES {','.join([row] * len(batch))} {conflict}", values)

    def _select(self, columns: str, codes: Iterable[str]) -> Iterator[Any]:
        for batch in batches(codes, BATCH):
            marks = ",".join("?" * len(batch))
            yield from self._db.execute(f"SELECT {columns} WHERE code IN ({marks})", batch)

    def unsettle(self, code: str) -> None:
        """Record that an account has several entries, none of which counts.

        :param code: account
        """
        self._db.execute("UPDATE line SET body = ? WHERE code = ?", (UNSETTLED, code))

    def line(self, code: str) -> bytes | None:
        """Return an account's packed entry, :data:`UNSETTLED`, or ``None`` if there is none.

        :param code: account
        """
        row = self._db.execute("SELECT body FROM line WHERE code = ?", (code,)).fetchone()
        return None if row is None else row[0]


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Split any number of items into lists.

    :param items: the items
    :param size: size of each list except the last
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
