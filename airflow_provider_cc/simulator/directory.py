"""The entries of the directory, with all configurable irregularities."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Collection
from typing import Any

from airflow_provider_cc.simulator.population import Agent
from airflow_provider_cc.simulator.site import Site

_ALL = 2**31


class DirectoryLines:
    """Builds the pages of the directory according to the settings.

    :param site: provides the agents and settings
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pages_asked = 0

    def of(self, account: str) -> tuple[list[dict[str, Any]], Any]:
        """Return the entries of one account, and the total."""
        settings = self._site.settings
        if settings.directory_filter == "ignored":
            return self.page(settings.first_page, settings.max_page_size, None)
        if settings.directory_filter == "first_line":
            return self.page(settings.first_page, 1, None)[0], 1
        agent = self._site.find(account)
        rows = [] if agent is None else [_row(agent)]
        rows += [dict(row) for row in settings.directory_also.values() if row.get("userAccount") == account]
        return rows, len(rows)

    def page(self, number: int, size: int, types: Collection[int] | None) -> tuple[list[dict[str, Any]], Any]:
        """Return the entries of a page, and the total."""
        settings = self._site.settings
        self._pages_asked += 1
        step = size if settings.larger_pages == "lost" else min(size, settings.max_page_size)
        size = min(size, settings.max_page_size)
        start = max(0, number - settings.first_page) * (step - settings.directory_overlap)
        if number < settings.first_page and settings.page_zero == "empty":
            start = _ALL
        if settings.directory_order == "fixed":
            rows, lines = self._cut(start, size, types)
        else:
            rows, lines = self._cut(0, _ALL, types)
            random.Random(number if settings.directory_order == "by_page" else None).shuffle(rows)  # noqa: S311
            rows = rows[start : start + size]
        totals = {
            "lines": lines,
            "text": str(lines),
            "page": len(rows),
            "zero": 0,
            "growing": lines + self._pages_asked,
            "shrinking": max(0, lines - self._pages_asked),
        }
        return rows, totals[settings.directory_total]

    def _cut(self, start: int, count: int, types: Collection[int] | None) -> tuple[list[dict[str, Any]], int]:
        """Return `count` entries from a position on, and the total number."""
        also = self._site.settings.directory_also
        places = sorted(also)
        before = bisect_left(places, start)
        agents, total = self._site.population.page(start - before, min(count, _ALL), types)
        rows = [_row(agent) for agent in agents]
        for place in places[before:]:
            if place - start > len(rows) or place - start >= count:
                break
            rows.insert(place - start, dict(also[place]))
        return rows[:count], total + len(also)


def _row(agent: Agent) -> dict[str, Any]:
    return {
        "skills": [{"skillId": agent.agent_type, "agentWeight": 1, "skillWeight": 1}],
        "agentType": agent.agent_type,
        "phone": agent.phone,
        "userAccount": agent.account,
        "ccRoleId": 2,
        "userName": agent.user_name,
        "sipAccount": agent.softphone_number,
        "email": agent.email,
        "workNo": agent.agent_id,
    }
