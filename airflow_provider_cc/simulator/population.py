"""Agents of the simulated contact center.

An agent is computed from the seed and its index, and an account code parses back to the index, so a million
agents take no more memory than ten. Only agents that were added, changed or removed are kept.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

#: Agent types in the proportions of a plausible contact center. They repeat by index, so that the number of
#: agents of a type below any index can be computed without a scan.
_TYPES = (4, 5, 4, 4, 5, 4, 4, 5, 4, 11, 4, 5, 4, 4, 5, 4, 4, 5, 4, 99)
#: "0" is the manual's default and the most frequent status.
_STATUSES = ("0", "0", "0", "0", "0", "0", "1", "2")
_PREFIX = "agent"
_FIRST_AGENT_ID = 10_001
_FIRST_SOFTPHONE = 70_000_000
_SOFTPHONES = 10_000_000
_WORD = 0xFFFF_FFFF_FFFF_FFFF


class Agent(NamedTuple):
    """One agent of the contact center.

    :param account: sign-in account
    :param agent_id: agent ID. Computed agents count from 10001, so 989,999 of them fit the gateway's range
    :param agent_type: 4 audio, 5 multimedia, 11 video, 99 versatile
    :param agent_status: status text of queryAgentInfoByAccount
    :param softphone_number: SIP number
    :param password: password of the sign-in account
    :param agent_password: password of the platform sign-in, which queryAgentLoginParams returns
    :param sip_password: password of the softphone; if empty, replies do not have the field
    :param user_name: the person's name
    :param phone: the person's telephone number
    :param email: the person's address
    :param locked: every sign-in is rejected
    """

    account: str
    agent_id: int
    agent_type: int
    agent_status: str
    softphone_number: str
    password: str
    agent_password: str
    sip_password: str
    user_name: str
    phone: str
    email: str
    locked: bool = False


def mix(seed: int, number: int) -> int:
    """Hash a number to 64 bits, reproducibly.

    :param seed: seed of the hash
    :param number: the number
    """
    word = (seed * 0x9E37_79B9_7F4A_7C15 + number * 0xD1B5_4A32_D192_ED03 + 0x632B_E59B_D9B4_E019) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58_476D_1CE4_E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D0_49BB_1331_11EB) & _WORD
    return word ^ (word >> 31)


class _Selection:
    """The computed agents of some types, accessible by rank without being stored."""

    def __init__(self, population: Population, types: frozenset[int] | None) -> None:
        self._size = population.size
        self._prefix = [0]
        for position in range(len(_TYPES)):
            wanted = types is None or population.computed_type(position) in types
            self._prefix.append(self._prefix[-1] + wanted)
        self._types = types
        minus, plus = list(population.removed), []
        for index, agent in population.changed.items():
            is_in = types is None or agent.agent_type in types
            if is_in and not self._computed_in(population, index):
                plus.append(index)
            elif not is_in:
                minus.append(index)
        self._minus = sorted(index for index in minus if self._computed_in(population, index))
        self._plus = sorted(plus)
        self.added = [a for a in population.added.values() if types is None or a.agent_type in types]
        self.computed = self._below(self._size)
        self.total = self.computed + len(self.added)

    def _computed_in(self, population: Population, index: int) -> bool:
        return self._types is None or population.computed_type(index) in self._types

    def _below(self, index: int) -> int:
        rounds, rest = divmod(index, len(_TYPES))
        return (
            rounds * self._prefix[-1]
            + self._prefix[rest]
            - bisect_left(self._minus, index)
            + bisect_left(self._plus, index)
        )

    def index_of(self, rank: int) -> int:
        """Return the index of the agent with `rank` agents of the selection before it."""
        return bisect_right(range(self._size), rank, key=lambda index: self._below(index + 1))


class Population:
    """All agents; thread-safe.

    :param size: number of computed agents
    :param seed: seed of the computed agents
    """

    def __init__(self, size: int, seed: int) -> None:
        if not 0 <= size <= _SOFTPHONES:
            raise ValueError(f"agents must be between 0 and {_SOFTPHONES:,}, not {size}")
        self.size = size
        self.seed = seed
        self.removed: set[int] = set()
        self.changed: dict[int, Agent] = {}
        self.added: dict[str, Agent] = {}
        self._accounts_by_id: dict[int, str] = {}
        self._selections: dict[frozenset[int] | None, _Selection] = {}
        self._lock = threading.RLock()

    def computed_type(self, index: int) -> int:
        """Return the type of a computed agent, before any change."""
        return _TYPES[(index + self.seed) % len(_TYPES)]

    def _computed(self, index: int) -> Agent:
        word = mix(self.seed, index)
        return Agent(
            f"{_PREFIX}{index:06d}",
            _FIRST_AGENT_ID + index,
            _TYPES[(index + self.seed) % len(_TYPES)],
            _STATUSES[word & 7],
            str(_FIRST_SOFTPHONE + (index * 7_654_321 + self.seed) % _SOFTPHONES),
            f"SignInPw-{word & 0xFFFFFF:06x}-{index}",
            f"AgentPw-{word >> 40:06x}-{index}",
            f"SipPw-{(word >> 16) & 0xFFFFFF:06x}-{index}",
            f"Robin Sample-{index}",
            f"+999{(word >> 8) % 1_000_000_000:09d}",
            f"robin.sample.{index}@staff.example",
        )

    def _index(self, account: str) -> int | None:
        digits = account[len(_PREFIX) :]
        if not account.startswith(_PREFIX) or not digits.isdecimal() or len(digits) > 8:
            return None
        index = int(digits)
        # Only the spelling that `_computed` uses is valid.
        return index if index < self.size and account == f"{_PREFIX}{index:06d}" else None

    def find(self, account: str) -> Agent | None:
        """Return the agent of a sign-in account, or None."""
        index = self._index(account)
        if index is None:
            return self.added.get(account)
        if index in self.removed:
            return None
        return self.changed.get(index) or self._computed(index)

    def find_id(self, agent_id: int) -> Agent | None:
        """Return the agent with an agent ID, or None."""
        account = self._accounts_by_id.get(agent_id)
        if account is None and 0 <= agent_id - _FIRST_AGENT_ID < self.size:
            account = f"{_PREFIX}{agent_id - _FIRST_AGENT_ID:06d}"
        agent = self.find(account) if account is not None else None
        return agent if agent is not None and agent.agent_id == agent_id else None

    def add(self, account: str, attributes: dict[str, Any]) -> Agent:
        """Add an agent to the end of the directory; missing attributes are computed.

        A removed computed account that is added again returns to its old place.
        """
        with self._lock:
            if self.find(account) is not None:
                raise ValueError(f"account {account!r} exists already")
            index = self._index(account)
            if index is not None:
                self.removed.discard(index)
                self.changed.pop(index, None)
                return self._store(account, self._computed(index)._replace(**attributes))
            # Above the computed numbers, so that the agent ID is unique.
            spare = self.size
            while self.find_id(_FIRST_AGENT_ID + spare) is not None:
                spare += 1
            agent = self._computed(spare)._replace(account=account, agent_type=4, agent_status="0")
            return self._store(account, agent._replace(**attributes))

    def change(self, account: str, attributes: dict[str, Any]) -> Agent:
        """Change attributes of an agent. Raises KeyError if there is none."""
        with self._lock:
            agent = self.find(account)
            if agent is None:
                raise KeyError(account)
            return self._store(account, agent._replace(**attributes))

    def remove(self, account: str) -> None:
        """Remove an agent. Raises KeyError if there is none."""
        with self._lock:
            agent = self.find(account)
            if agent is None:
                raise KeyError(account)
            self._accounts_by_id.pop(agent.agent_id, None)
            index = self._index(account)
            if index is None:
                del self.added[account]
            else:
                self.changed.pop(index, None)
                self.removed.add(index)
            self._selections.clear()

    def _store(self, account: str, agent: Agent) -> Agent:
        self._accounts_by_id[agent.agent_id] = account
        index = self._index(account)
        if index is None:
            self.added[account] = agent
        else:
            self.changed[index] = agent
        self._selections.clear()
        return agent

    def page(self, start: int, count: int, types: Collection[int] | None = None) -> tuple[list[Agent], int]:
        """Return one page of the directory.

        :param start: number of agents before the page
        :param count: number of agents on a full page
        :param types: only agents of these types; None for all
        :return: the agents, and their number on all pages
        """
        with self._lock:
            key = None if types is None else frozenset(types)
            selection = self._selections.get(key)
            if selection is None:
                selection = self._selections[key] = _Selection(self, key)
            agents: list[Agent] = []
            if start < selection.computed:
                for index in range(selection.index_of(start), self.size):
                    if len(agents) == count:
                        break
                    if index in self.removed:
                        continue
                    agent = self.changed.get(index)
                    agent_type = self.computed_type(index) if agent is None else agent.agent_type
                    if key is None or agent_type in key:
                        agents.append(agent or self._computed(index))
            if len(agents) < count:
                first = max(0, start - selection.computed)
                agents += selection.added[first : first + count - len(agents)]
            return agents, selection.total

    def accounts(self) -> Iterator[str]:
        """Return the account codes in the order of the directory."""
        for index in range(self.size):
            if index not in self.removed:
                yield f"{_PREFIX}{index:06d}"
        yield from tuple(self.added)
