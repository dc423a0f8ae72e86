"""Shared state of the three systems of a simulated contact center: settings, agents, sessions, statistics."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

from airflow_provider_cc.simulator.faults import Faults
from airflow_provider_cc.simulator.population import Agent, Population
from airflow_provider_cc.simulator.settings import Settings
from airflow_provider_cc.simulator.statistics import Statistics

#: Number of latest tokens and Guids in `Simulator.secrets`; a load test issues millions.
_REMEMBERED = 10_000
#: Number of sessions above which lapsed ones are removed.
_SWEEP_ABOVE = 10_000


class Session(NamedTuple):
    """One issued token or Guid.

    :param expires: time when it lapses, on the monotonic clock
    :param cookie: sticky cookie of the client it was issued to
    """

    expires: float
    cookie: str


class Sessions:
    """Issued tokens or Guids of one kind."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def open(self, value: str, lifetime: float, cookie: str) -> None:
        """Store a new session."""
        now = time.monotonic()
        if len(self._open) >= _SWEEP_ABOVE:
            self._open = {key: session for key, session in self._open.items() if session.expires > now}
        self._open[value] = Session(now + lifetime, cookie)

    def valid(self, value: str, cookie: str) -> bool:
        """Return whether a session was issued to this client and is still valid."""
        session = self._open.get(value)
        return session is not None and session.expires > time.monotonic() and session.cookie == cookie

    def close(self, value: str) -> None:
        """End a session."""
        self._open.pop(value, None)

    def clear(self) -> None:
        """End all sessions."""
        self._open.clear()


class Site:
    """Shared state of CC-Management, CC-Gateway and CC-iSales."""

    def __init__(self, settings: Settings, faults: Faults) -> None:
        self.settings = settings
        self.faults = faults
        self.population = Population(settings.agents, settings.seed)
        self.statistics = Statistics()
        self.issued: deque[str] = deque(maxlen=_REMEMBERED)

    def issue(self, value: str) -> str:
        """Return a new token or Guid in its final form, and record it as a secret."""
        value = self.settings.issue(value)
        self.issued.append(value)
        return value

    def find(self, account: str) -> Agent | None:
        """Find the agent of a sign-in account as the settings say, or None."""
        agent = self.population.find(account)
        if agent is None and self.settings.letter_case == "ignored":
            agent = self.population.find(account.lower())
        return agent

    def blame(self, text: str, secret: object) -> str:
        """Return an error text; with `echo_secrets`, it repeats the credential."""
        return f"{text}: {secret}" if self.settings.echo_secrets else text

    def refuses(self, system: str) -> bool:
        """Return whether every sign-in to a system is currently rejected."""
        return system in self.faults.refuse_sign_ins
