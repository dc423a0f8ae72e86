"""What a reader has to remember, in a private temporary file: constant memory for any number of accounts."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

#: Accounts handled at a time.
BATCH = 1000

#: To be asked for · to be asked for, although this run has an answer · not to be asked for: a bad code ·
#: answered by an earlier attempt.
WAITING, AGAIN, BAD, ROW, REJECT, GONE = "waiting", "again", "bad", "row", "reject", "gone"

#: In place of a line: there are several.
UNSETTLED = b""


class Spool:
    """Accounts, each once, in the order they came, and lines of the directory; used by one thread at a time.

    The file holds account codes, agent IDs and softphone numbers, never a password, and is gone with the run.

    :param clock: returns the time, in seconds, at which a line is met
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock

    def __enter__(self) -> Spool:
        # A database without a name is a file that SQLite takes out of its folder as soon as it is open: an
        # attempt that is killed leaves nothing, either. Several threads use it, one after the other.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            # It need not survive a crash: no journal, no waiting for the disk.
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
        """Keep accounts that are not there yet.

        :param codes: accounts
        :param state: one of the states above
        :param reason: why a bad code is bad
        :return: how many were new
        """
        before = self._db.total_changes
        rows = ((code, state, reason) for code in codes)
        self._write("INSERT OR IGNORE INTO account (code, state, reason)", rows)
        return self._db.total_changes - before

    def mark(self, codes: Collection[str], state: str) -> None:
        """Change the state of accounts, or keep them.

        :param codes: accounts
        :param state: their state from now on
        """
        update = "ON CONFLICT DO UPDATE SET state = excluded.state"
        self._write("INSERT INTO account (code, state)", [(code, state) for code in codes], update)

    def states(self, codes: Collection[str]) -> dict[str, str]:
        """Return the states of those accounts that are kept.

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
        """Iterate over the codes that cannot be asked for, each with the reason."""
        yield from self._db.execute("SELECT code, reason FROM account WHERE state = ? ORDER BY id", (BAD,))

    def waiting(self) -> Iterator[tuple[str, bool]]:
        """Iterate over accounts to be asked for, in the order they came, and whether they have an answer."""
        last = 0
        query = "SELECT id, code, state FROM account WHERE id > ? AND state IN (?, ?) ORDER BY id LIMIT ?"
        while rows := self._db.execute(query, (last, WAITING, AGAIN, BATCH)).fetchall():
            last = rows[-1][0]
            for _, code, state in rows:
                yield code, state == AGAIN

    def meet(self, lines: dict[str, bytes], number: int) -> dict[str, tuple[int, bytes]]:
        """Keep lines of the directory, as :class:`airflow_provider_cc.api.directory.SeenLines` says."""
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
        """Keep lines that another spool has met.

        :param lines: account, packed line and time of each, as :meth:`lines` returns them
        """
        self._write("INSERT INTO line", ((code, 1, body, met_at) for code, body, met_at in lines))

    def lines(self) -> Iterator[tuple[str, bytes, float]]:
        """Iterate over all lines in the order they were met: account, packed line, and when."""
        yield from self._db.execute("SELECT code, body, met_at FROM line ORDER BY met_at, code")

    def line_count(self) -> int:
        """Return how many accounts have a line."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM line").fetchone()
        return int(count)

    def all(self) -> Iterator[tuple[str, str | None, bytes | None, float]]:
        """Iterate over the accounts in the order they came.

        :return: account, why it is bad, its packed line, and when that was met; ``None`` and 0 where not
        """
        yield from self._db.execute(
            "SELECT code, reason, body, coalesce(met_at, 0)"
            " FROM account LEFT JOIN line USING (code) ORDER BY id"
        )

    def _write(self, insert: str, rows: Iterable[tuple[Any, ...]], conflict: str = "") -> None:
        """Insert rows, many by one statement: SQLite gives the interpreter away at each, and waits for it."""
        for batch in batches(rows, BATCH):
            row = f"({','.join('?' * len(batch[0]))})"
            values = list(chain.from_iterable(batch))
            self._db.execute(f"{insert} VALUES {','.join([row] * len(batch))} {conflict}", values)

    def _select(self, columns: str, codes: Iterable[str]) -> Iterator[Any]:
        for batch in batches(codes, BATCH):
            marks = ",".join("?" * len(batch))
            yield from self._db.execute(f"SELECT {columns} WHERE code IN ({marks})", batch)

    def unsettle(self, code: str) -> None:
        """Keep that an account has several lines, none of which counts.

        :param code: account
        """
        self._db.execute("UPDATE line SET body = ? WHERE code = ?", (UNSETTLED, code))

    def line(self, code: str) -> bytes | None:
        """Return an account's packed line, :data:`UNSETTLED`, or ``None`` if there is none.

        :param code: account
        """
        row = self._db.execute("SELECT body FROM line WHERE code = ?", (code,)).fetchone()
        return None if row is None else row[0]


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut any number of items into lists.

    :param items: the items
    :param size: of each list but the last
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
