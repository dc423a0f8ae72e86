"""Reads the directory of CC-Management: what to request next, and whether all entries have arrived.

The manual does not specify the order of entries, a ``total``, or the number of the first page. So the read
relies on the entries that arrive:

- The first pages show how long a page is (the contact center may refuse or cut longer ones) and whether page
  numbers start at 0 or 1.
- ``total`` is the number of entries. It never ends a read whose last page was full, and it is ignored if it
  is smaller than the number of entries received. Without it, only an empty page ends the read.
- Fewer distinct entries than ``total``, a changing ``total``, or, without one, a repeated entry mean that
  entries moved while the pages were read: the directory is read up to :data:`MAX_PASSES` times.
- Accounts that differ in letter case are different accounts, unless the directory answers the query for one
  with the entry of the other.
- An entry that appears twice on one page is listed twice. An entry that appears again on another page is
  listed twice only if the directory returns both when queried for that account.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from airflow_provider_cc.api.management import (
    DIRECTORY,
    MAX_ACCOUNT,
    DirectoryAgent,
    DirectoryPage,
    directory_page,
)
from airflow_provider_cc.api.protocol import Call, text_argument, whole_number
from airflow_provider_cc.exceptions import CCBusinessError, CCPermissionError, CCResponseError, ErrorCode

log = logging.getLogger(__name__)

#: Entries per page; it is not documented what a contact center accepts beyond 100.
PAGE_SIZE = 100
#: Longest page that a connection may request.
MAX_PAGE_SIZE = 10_000
#: Tried in this order if a longer page is refused.
SMALLER_PAGES = (100, 50, 20, 10)
#: Maximum number of reads while entries move.
MAX_PASSES = 3
#: Up to this many repeated entries are queried individually; more of them indicate that pages moved.
MAX_DOUBTS = 20
#: Agent type of an account that is not an agent.
NO_AGENT_TYPE = 255


class UnreadableLine(NamedTuple):
    """An entry of the directory that cannot be read.

    :param account: sign-in account, or the position of the entry
    :param error: what is wrong with it
    """

    account: str
    error: CCResponseError


Line: TypeAlias = DirectoryAgent | UnreadableLine


class Found(NamedTuple):
    """New information on a page, without entries that were seen before.

    :param new: entries of accounts seen for the first time
    :param changed: entries that differ from those of an earlier pass, each with the packed earlier one
    :param conflicting: additional, different entries of accounts that this pass has already seen, each with
        the packed earlier one
    """

    new: list[Line]
    changed: list[tuple[Line, bytes]]
    conflicting: list[tuple[Line, bytes]]


class Ask(NamedTuple):
    """A request to the directory.

    :param call: the call
    :param number: number of the page, if it requests a page
    :param size: requested number of entries
    :param account: the account, if it is a query for one
    """

    call: Call[Any]
    number: int = 0
    size: int = 0
    account: str = ""


class SeenLines(Protocol):
    """Stores the entry of each account."""

    def meet(self, lines: dict[str, bytes], number: int) -> dict[str, tuple[int, bytes]]:
        """Store entries, except those of accounts that the same pass has already seen.

        :param lines: account → packed entry
        :param number: number of the pass
        :return: the previous entries of known accounts: account → pass and packed entry
        """


class _Memory(dict[str, tuple[int, bytes]]):
    def meet(self, lines: dict[str, bytes], number: int) -> dict[str, tuple[int, bytes]]:
        known = {account: self[account] for account in lines if account in self}
        self.update(
            (account, (number, line))
            for account, line in lines.items()
            if account not in known or known[account][0] < number
        )
        return known


def query_page(page: int, page_size: int, agent_types: Sequence[int] | None = None) -> Call[DirectoryPage]:
    """Request a page of the directory ("agentAccount/query").

    :param page: page number
    :param page_size: entries per page
    :param agent_types: only agents of these types
    :raises ValueError: a page below 0 or a size below 1
    """
    if page < 0:
        raise ValueError("page must be 0 or more")
    if page_size < 1:
        raise ValueError("page_size must be 1 or more")
    body: dict[str, Any] = {"pageNum": page, "pageSize": page_size}
    if agent_types is not None:
        body["agentType"] = list(agent_types)
    return Call(
        DIRECTORY,
        msgspec.json.encode(body),
        lambda reply, _: directory_page(_total(reply.total), page, reply.data or []),
        DIRECTORY.path,
    )


def query_account(account: str) -> Call[list[DirectoryAgent]]:
    """Query the directory for a single account.

    The result contains the entries of this account. If there are none, it contains those in another letter
    case, because the contact center found them under this name. An empty list means that the directory does
    not list the account.

    :param account: sign-in account, at most 100 characters
    :raises ValueError: the manual does not allow this account
    """
    body = msgspec.json.encode({"userAccount": text_argument("account", account, MAX_ACCOUNT)})

    def read(reply: Any, _: Any) -> list[DirectoryAgent]:
        page = directory_page(None, 0, reply.data or [])
        for name, error in page.unreadable:
            if name == account:
                raise error
        same = [agent for agent in page.agents if agent.account == account]
        found = same or [a for a in page.agents if a.account.casefold() == account.casefold()]
        if not found and (page.agents or page.unreadable or _total(reply.total)):
            raise CCResponseError(
                DIRECTORY.name,
                ErrorCode.FILTER_IGNORED,
                "queried for one account, the directory returned others",
            )
        return found

    return Call(DIRECTORY, body, read, DIRECTORY.path)


def only_line(lines: Sequence[DirectoryAgent]) -> DirectoryAgent:
    """Return the entry of an account from the directory's answer about it.

    :param lines: the result of :func:`query_account`, at least one entry
    :raises CCResponseError: the entries differ
    """
    if any(line != lines[0] for line in lines):
        raise CCResponseError(
            DIRECTORY.name,
            ErrorCode.AMBIGUOUS,
            f"the directory lists the account {len(lines)} times, with different values",
        )
    return lines[0]


def pack(line: Line) -> bytes:
    """Return everything in an entry except the account, to compare and store it.

    :param line: the entry
    """
    if isinstance(line, DirectoryAgent):
        return msgspec.json.encode((line.agent_id, line.agent_type, line.softphone_number))
    return msgspec.json.encode((line.error.code, line.error.text))


def unpack(account: str, packed: bytes) -> Line:
    """Return an entry from the result of :func:`pack`.

    :param account: its account
    :param packed: the packed entry
    """
    values = msgspec.json.decode(packed)
    if len(values) == 3:
        return DirectoryAgent(account, *values)
    return UnreadableLine(account, CCResponseError(DIRECTORY.name, *values))


class Directory:
    """One read of the directory. Make the requests of :meth:`next` until it is finished, then :meth:`check`.

    Any number of requests may be in flight; each ends with :meth:`take` or :meth:`refuse`.

    :param page_size: entries to request per page; adapts to the replies
    :param agent_types: only agents of these types
    :param seen: stores the entries; by default, a dictionary
    :param passes: maximum number of times the directory is read
    """

    def __init__(
        self,
        page_size: int = PAGE_SIZE,
        agent_types: Sequence[int] | None = None,
        seen: SeenLines | None = None,
        passes: int = MAX_PASSES,
    ) -> None:
        self.page_size = page_size
        self._types = agent_types
        self._seen: SeenLines = _Memory() if seen is None else seen
        self._passes = passes
        #: Repeated entries, in the pass with the most.
        self.duplicates = 0
        self._open = 0
        self._over = False
        self._failure = ""
        self._restless = False
        self._other_ways = self._ways()
        self._first_refusal: CCBusinessError | None = None
        self._first = 0  # number of the first page
        self._head: list[tuple[str, bytes]] | None = None  # its contents
        self._trusted = True  # whether `total` can be the number of all entries
        self._total: int | None = None
        self._totals: set[int] = set()
        self._accounts = 0
        self._pass = 0
        self._begin_pass()

    def _begin_pass(self) -> None:
        self._pass += 1
        self._next = self._top = self._first
        self._answered = 0
        self._ended = False
        self._top_short = False
        self._refusal: CCBusinessError | None = None
        self._refused = 2**31  # the first page that was refused
        self._totals_of_pass: set[int] = set()
        self._lines = self._met = 0  # distinct entries, and distinct accounts
        self._doubles = 0  # entries that appeared twice on one page
        self._repeats: Counter[str] = Counter()  # entries that appeared again on another page
        self._variants: set[tuple[str, bytes]] = set()
        self._doubts: Iterator[str] | None = None

    def _ways(self) -> Iterator[tuple[int, int]]:
        """Yield number and size of the next first page to try if the previous one is refused."""
        smaller = [size for size in SMALLER_PAGES if size < self.page_size]
        numbers_from_1 = [(1, self.page_size), *((1, size) for size in smaller[:1])]
        others = ((number, size) for size in smaller[1:] for number in (0, 1))
        return chain(((0, size) for size in smaller[:1]), numbers_from_1, others)

    @property
    def pages_left(self) -> int:
        """Number of pages still to be requested; if unknown, twice as many as have been."""
        if self._ended:
            return 0
        if self._total is None:
            return max(1, 2 * self._answered)
        return max(0, -(-self._total // self.page_size) - (self._next - self._first))

    def next(self) -> Ask | None:
        """Return the next request; ``None`` if it depends on open requests or, if there are none, at the end.

        :raises ValueError: a page size below 1
        :raises CCBusinessError: the directory refused a page that must exist
        """
        while not self._over:
            ask = self._next_ask()
            if ask is not None:
                self._open += 1
                return ask
            if self._open:
                return None
            self._end_pass()
        return None

    def take(self, ask: Ask, reply: Any) -> Found:
        """Process an answer.

        :param ask: the request
        :param reply: the result of its call
        :raises CCResponseError: the directory returns the same page repeatedly
        """
        self._open -= 1
        if not ask.account:
            return self._take_page(ask, reply)
        confirmed = min(self._repeats[ask.account], len(reply) - 1)
        if confirmed > 0:
            self._repeats[ask.account] -= confirmed
            self._doubles += confirmed
            self._lines += confirmed
        return Found([], [], [])

    def refuse(self, ask: Ask, error: CCBusinessError | CCResponseError) -> None:
        """Process a failure: the contact center may not accept a page this long, or one beyond the last.

        :param ask: the request
        :param error: the failure
        :raises CCError: the failure has another cause
        """
        self._open -= 1
        if ask.account:
            return
        if isinstance(error, CCPermissionError | CCResponseError):
            raise error
        if self._answered or self._pass > 1:
            self._ended, self._refusal = True, error
            self._refused = min(self._refused, ask.number)
            return
        self._first_refusal = self._first_refusal or error
        way = next(self._other_ways, None)
        if way is None:
            raise self._first_refusal
        self._next, self.page_size = way

    def check(self) -> None:
        """Check that the directory was read completely.

        :raises CCResponseError: it was not; the text has the number of missing entries
        """
        if self._failure:
            raise CCResponseError(DIRECTORY.name, ErrorCode.INCOMPLETE, self._failure)
        if self._restless:
            log.warning(
                "The directory changed during every read; the next run reads any entries that were missed."
            )

    def _next_ask(self) -> Ask | None:
        if self._doubts is not None:
            account = next(self._doubts, None)
            return None if account is None else Ask(query_account(account), account=account)
        if self._ended or not self._may_go_on():
            return None
        number = self._next
        self._next += 1
        return Ask(query_page(number, self.page_size, self._types), number, self.page_size)

    def _may_go_on(self) -> bool:
        learning = self._pass == 1 and self._top == self._first
        if learning and self._open:
            return False  # the first pages show how long a page is, and where page numbers start
        if self._total is None:
            return not self._open or self._open < self._answered
        if (self._next - self._first) * self.page_size < self._total:
            return True
        complete = self._top_short and self._lines >= self._total
        return not self._open and (learning or not complete)

    def _take_page(self, ask: Ask, page: DirectoryPage) -> Found:
        lines: list[Line] = [*page.agents, *(UnreadableLine(*line) for line in page.unreadable)]
        packed = [(line.account, pack(line)) for line in lines]
        self._answered += 1
        if ask.number >= self._top:
            self._top, self._top_short = ask.number, len(lines) < ask.size
        if self._head is None:
            if not lines:
                self._ended = ask.number > 0  # if page numbers start at 1, page 0 may be empty
            else:
                self._head, self._first, self.page_size = packed, ask.number, len(lines)
        elif lines and ask.number > self._first and packed == self._head:
            return self._same_page_again(ask)
        elif not lines:
            self._ended = True
        found = self._meet(lines, packed)
        if lines or page.total:
            self._note_total(page.total)
        return found

    def _same_page_again(self, ask: Ask) -> Found:
        if self._pass == 1 and self._answered == 2:
            self._first = ask.number  # page numbers start at 1, and 0 is treated as 1
        elif self._total is not None and self._lines >= self._total:
            self._ended = True
        else:
            raise CCResponseError(
                DIRECTORY.name, ErrorCode.REPEATED_PAGE, "every page of the directory is the same"
            )
        return Found([], [], [])

    def _note_total(self, total: int | None) -> None:
        if not self._trusted or total is None:
            return
        if self._lines > total:  # zero, of this page only, or outdated
            self._trusted, self._total = False, None
            return
        self._total = total
        self._totals.add(total)
        self._totals_of_pass.add(total)

    def _meet(self, lines: list[Line], packed: list[tuple[str, bytes]]) -> Found:
        found = Found([], [], [])
        firsts: dict[str, bytes] = {}
        for account, body in packed:
            firsts.setdefault(account, body)
        known = self._seen.meet(firsts, self._pass)
        on_page: set[tuple[str, bytes]] = set()
        accounts_on_page: set[str] = set()
        repeated: set[tuple[str, bytes]] = set()
        for line, key in zip(lines, packed, strict=True):
            account, body = key
            number, before = known.get(account, (0, b""))
            if key in on_page and key not in repeated:
                self._doubles += 1
                self._lines += 1
            elif number < self._pass and account not in accounts_on_page:
                self._met += 1
                self._lines += 1
                if not number:
                    self._accounts += 1
                    found.new.append(line)
                elif before != body:
                    found.changed.append((line, before))
            else:
                if number < self._pass:
                    before = firsts[account]
                if body == before or key in self._variants:
                    repeated.add(key)
                    self._repeat(account)
                else:
                    self._variants |= {key, (account, before)}
                    self._lines += 1
                    found.conflicting.append((line, before))
            on_page.add(key)
            accounts_on_page.add(account)
        return found

    def _repeat(self, account: str) -> None:
        # Beyond those that will be queried individually, they are only counted.
        self._repeats[account if len(self._repeats) <= MAX_DOUBTS else ""] += 1

    def _end_pass(self) -> None:
        if self._refusal is not None and not (self._top_short and self._top < self._refused):
            raise self._refusal
        repeats = self._repeats.total()
        self.duplicates = max(self.duplicates, repeats + self._doubles)
        lines = self._lines
        if len(self._totals) == 1:  # it never changed, so entries of all passes count
            lines = max(lines, self._all_lines)
        steady = len(self._totals_of_pass) == 1
        missing = repeats if self._total is None else max(0, self._total - lines)
        if missing == 0 and (steady or self._total is None):
            self._over = True
        elif self._doubts is None and 0 < repeats <= MAX_DOUBTS and missing <= repeats:
            self._doubts = iter(list(self._repeats))
        elif self._pass < self._passes:
            log.info(
                "The directory changed while it was being read (read %d of %d).", self._pass, self._passes
            )
            self._begin_pass()
        else:
            self._give_up(repeats)

    def _give_up(self, repeats: int) -> None:
        self._over = True
        if self._total is None:
            self._failure = (
                f"{repeats} entries were on two pages in the last of {self._pass} reads, so as many may be "
                "missing; the directory does not return its total"
            )
            return
        missing = self._total - max(self._lines, self._all_lines)
        if missing > 0:
            self._failure = (
                f"{missing} of {self._total} entries are missing after {self._pass} reads: the directory "
                "changes while it is read, or its total is wrong"
            )
        self._restless = missing <= 0

    @property
    def _all_lines(self) -> int:
        """Distinct entries of all passes: one for each account, and the others of accounts listed twice."""
        return self._accounts + self._lines - self._met


def _total(value: object) -> int | None:
    """Read ``total``, which may be missing or invalid."""
    try:
        return whole_number(DIRECTORY.name, "total", value)
    except CCResponseError:
        return None
