"""Control interface for tests in other processes: features of `Simulator` over HTTP, below /_simulator/.

| request | body | reply |
|---|---|---|
| `GET stats` | | all counters |
| `POST reset` | | resets the counters |
| `GET faults` | | the switches |
| `POST faults` | any fields of `Faults` | the switches after the change |
| `POST expire` | | ends all sessions |
| `GET agents?account=…` | | all attributes of one agent |
| `POST agents` | `{"add": [{"account": …, …}], "change": [{…}], "remove": […], "lock": […]}` | |
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import parse_qs

from airflow_provider_cc.simulator.exchange import Call, Reply, http_failure, json_reply
from airflow_provider_cc.simulator.faults import Faults
from airflow_provider_cc.simulator.site import Site

PREFIX = "/_simulator/"
_FAULT_NAMES = frozenset(field.name for field in fields(Faults))
_AGENT_CHANGES = frozenset({"add", "change", "remove", "lock"})


class Control:
    """Answers requests below /_simulator/.

    :param site: the simulated contact center
    :param expire_sessions: function that ends the sessions of all three systems
    """

    def __init__(self, site: Site, expire_sessions: Callable[[], None]) -> None:
        self._site = site
        self._expire_sessions = expire_sessions

    def answer(self, call: Call, query: str) -> Reply:
        """Return the reply to a control request; 404 for an unknown one."""
        try:
            match (call.method, call.path.removeprefix(PREFIX)):
                case ("GET", "stats"):
                    return json_reply(self._site.statistics.as_dict())
                case ("POST", "reset"):
                    self._site.statistics.reset()
                case ("GET", "faults"):
                    return self._shown_faults()
                case ("POST", "faults"):
                    self._set_faults(json.loads(call.body))
                    return self._shown_faults()
                case ("POST", "expire"):
                    self._expire_sessions()
                case ("GET", "agents"):
                    return self._agent(parse_qs(query).get("account", [""])[0])
                case ("POST", "agents"):
                    self._change_agents(json.loads(call.body))
                case _:
                    return http_failure(404, "no such control")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return http_failure(400, f"{type(error).__name__}: {error}")
        return json_reply({})

    def _shown_faults(self) -> Reply:
        shown = asdict(self._site.faults)
        return json_reply(
            {
                name: sorted(value) if isinstance(value, (set, frozenset)) else value
                for name, value in shown.items()
            }
        )

    def _set_faults(self, changes: dict[str, Any]) -> None:
        if unknown := changes.keys() - _FAULT_NAMES:
            raise ValueError(f"unknown fault {sorted(unknown)[0]!r}")
        if "errors" in changes:
            changes["errors"] = {int(status): share for status, share in changes["errors"].items()}
        if "overrides" in changes:
            changes["overrides"] = {
                account: (int(status), body) for account, (status, body) in changes["overrides"].items()
            }
        for name, value in changes.items():
            setattr(self._site.faults, name, value)

    def _agent(self, account: str) -> Reply:
        agent = self._site.population.find(account)
        return http_failure(404, "no such account") if agent is None else json_reply(agent._asdict())

    def _change_agents(self, changes: dict[str, Any]) -> None:
        if unknown := changes.keys() - _AGENT_CHANGES:
            raise ValueError(f"unknown change {sorted(unknown)[0]!r}")
        population = self._site.population
        for attributes in changes.get("add", ()):
            population.add(attributes.pop("account"), attributes)
        for attributes in changes.get("change", ()):
            population.change(attributes.pop("account"), attributes)
        for account in changes.get("remove", ()):
            population.remove(account)
        for account in changes.get("lock", ()):
            population.change(account, {"locked": True})
