"""A contact center in which every secret and all personal data is a canary."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_cc.simulator import Faults, Settings, Simulator
from tests.hard.canaries.canaries import canary

#: Agents with canaries of their own; the first of the directory.
AGENTS = 6
_MARK = canary(plain=True)


def settings_canaries() -> dict[str, str]:
    """Make up what is configured in connections."""
    names = ("app_secret", "user_password", "admin_password", "vdn_password", "isales_password")
    return {name: canary() for name in names}


def agent_canaries(number: int) -> dict[str, str]:
    """Make up what is an agent's own."""
    longest = {"agent_password": 32, "password": 32}
    names = ("password", "agent_password", "sip_password", "user_name", "phone", "email")
    return {f"{name} of agent {number}": canary(longest.get(name, 64)) for name in names}


def marked(mark: str = _MARK) -> Any:
    """Return what marks every token, Guid and phonetoken, which stay different from each other."""
    numbers = itertools.count()
    return lambda value: f"{mark}{next(numbers)}{value[36:]}"


@contextmanager
def canary_center(
    certificates: Path,
    faults: Faults | None = None,
    secrets: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[tuple[Simulator, dict[str, str]]]:
    """Run a contact center that repeats secrets wherever it can; give it, and its canaries by name.

    :param certificates: where to keep them
    :param faults: what goes wrong
    :param secrets: the canaries of its settings, if not made up here
    :param settings: further settings
    """
    configured = dict(secrets or settings_canaries())
    known = {**configured, "session": _MARK}
    options: dict[str, Any] = {"echo_secrets": True, "event_poll": 0.05, "refused_status": 200, **settings}
    with Simulator(
        Settings(agents=AGENTS, seed=7, cert_dir=certificates, issue=marked(), **configured, **options),
        faults,
    ) as center:
        for number, account in enumerate(list(center.accounts())):
            own = agent_canaries(number)
            known |= own
            center.change_agent(account, **{name.split(" of ")[0]: value for name, value in own.items()})
        yield center, known


#: What goes wrong: everything that the simulator can do, in shares that let some calls through.
FAULTS: dict[str, Faults] = {
    "none": Faults(),
    "refused": Faults(refuse_sign_ins={"management", "gateway", "agent", "isales"}),
    "refused by 403": Faults(refuse_sign_ins={"management", "gateway", "agent", "isales"}),
    "not allow-listed": Faults(),
    "lapsed": Faults(errors={401: 0.4}),
    "business failures": Faults(errors={500: 0.3, 400: 0.1, 404: 0.1}),
    "away": Faults(errors={502: 0.1, 503: 0.2, 504: 0.1}),
    "too many": Faults(errors={429: 0.3}, retry_after=0),
    "HTML": Faults(errors={500: 0.4}, html_errors=True),
    "types": Faults(vary_types=True),
    "reset before": Faults(reset_before=0.3),
    "reset midway": Faults(reset_midway=0.3),
    "truncated": Faults(truncated=0.4),
    "empty": Faults(empty=0.4),
    "overridden": Faults(overrides={"agent000001": (500, "no"), "agent000002": (200, [])}),
    "expiring": Faults(expire_every=0.02),
    "hanging": Faults(slow_share=0.5, slow_seconds=3),
    "wrong credential": Faults(),
    "untrusted": Faults(),
    "sticky": Faults(),
}
#: How the center is set up meanwhile, where that matters.
SETTINGS: dict[str, dict[str, Any]] = {
    "refused by 403": {"refused_status": 403},
    "not allow-listed": {"allow_listed": False},
    "untrusted": {"certificate": "other_host"},
    "sticky": {"sticky_cookie": True},
    "hanging": {"extra": {"timeout": 1}},
}
