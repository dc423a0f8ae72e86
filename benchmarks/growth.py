"""What a sync of so many accounts takes, computed from what `benchmarks.scale` has measured.

Nothing here measures. Each number in the table follows from :class:`Figures` by a formula that stands in
docs/growth.md, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks import markdown

#: Queries a second for a whole system. The vendor documents it for CC-Gateway (15,000 in 2 s). For
#: CC-Management, which a sync queries, no such limit is known: there it is an assumption.
VENDOR_RATE = 15_000 / 2
#: Seconds in which the shards are to read all accounts: half of an hourly schedule, so that a shard that
#: fails can be read again, and all be applied.
READ_SECONDS = 1_800
#: Accounts of a shard for which a task is worth its start.
WORTH_A_TASK = 5_000
#: Lines on a page of the directory, and seconds until it is there.
PAGE, LATENCY = 100, 0.05
HOUR = 3_600
#: The part that more shards make faster.
_WORKERS = "the workers' rate"

ACCOUNTS = (100_000, 1_000_000, 10_000_000)


@dataclass(frozen=True)
class Figures:
    """What was measured. Seconds, bytes and rows are for each further account.

    :param rate: accounts a second that one worker reads by single queries, replies after 50 ms
    :param concurrency: requests that it has in flight
    :param prepare: seconds of the task that shares the accounts out
    :param apply: seconds of the transaction that applies them, of the slower run
    :param directory: seconds of a whole sync from the directory, without latency, of the slower run
    :param pages: directory pages in flight
    :param written: bytes of WAL, first run and a run without changes
    :param rows: rows written, likewise
    :param staged: bytes in staging before all is applied: what is shared out, and what the last run has left
    :param metadata: rows in Airflow's database for a run: of the operator, and of groups by number of shards
    """

    rate: float
    concurrency: int
    prepare: float
    apply: float
    directory: float
    pages: int
    written: tuple[float, float]
    rows: tuple[float, float]
    staged: float
    metadata: tuple[float, dict[int, float]]


@dataclass(frozen=True)
class Plan:
    """A sync of some accounts.

    :param accounts: how many
    :param shards: tasks that read
    :param rate: accounts a second that they read together
    :param figures: what was measured
    """

    accounts: int
    shards: int
    rate: float
    figures: Figures

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each task, one after the other; `read` is that of all shards side by side."""
        return {
            "read": self.accounts / self.rate,
            "prepare": self.accounts * self.figures.prepare if self.shards > 1 else 0.0,
            "apply": self.accounts * self.figures.apply,
        }

    @property
    def in_flight(self) -> int:
        """Requests in flight: the connection's `max_concurrency`."""
        return self.shards * self.figures.concurrency


def at_latency(accounts: int, figures: Figures) -> Plan:
    """Plan as many shards as read all accounts in half an hour, 50 ms away.

    :param accounts: how many
    :param figures: what was measured
    """
    return _plan(accounts, math.ceil(accounts / (figures.rate * READ_SECONDS)), figures)


def at_vendor_rate(accounts: int, figures: Figures) -> Plan:
    """Plan as many shards as reach the vendor's rate, if there are accounts enough for them.

    :param accounts: how many
    :param figures: what was measured
    """
    return _plan(accounts, math.ceil(VENDOR_RATE / figures.rate), figures)


def _plan(accounts: int, wanted: int, figures: Figures) -> Plan:
    shards = max(1, min(wanted, accounts // WORTH_A_TASK))
    return Plan(accounts, shards, min(shards * figures.rate, VENDOR_RATE), figures)


def limits(plan: Plan) -> list[tuple[str, float]]:
    """Return the parts of a sync, each with the share of an hour that it takes, the largest first.

    :param plan: of the sync
    """
    figures = plan.figures
    shares = {
        _WORKERS: plan.accounts / (plan.shards * figures.rate),
        "the contact center": plan.accounts / VENDOR_RATE,
        "`prepare`": plan.seconds["prepare"],
        "`apply`": plan.seconds["apply"],
    }
    return sorted(((part, spent / HOUR) for part, spent in shares.items()), key=lambda it: -it[1])


#: What to do about a part that takes too long.
_REMEDIES = {
    _WORKERS: "more shards, and `max_concurrency` with them",
    "the contact center": "sync [from the directory](sync.md), or less often",
    "`prepare`": "[several groups](#several-groups)",
    "`apply`": "[several groups](#several-groups)",
}


def projection(figures: Figures, accounts: tuple[int, ...] = ACCOUNTS) -> str:
    """Return the table of what syncs of some sizes take.

    :param figures: what was measured
    :param accounts: the sizes
    """
    alone = [Plan(number, 1, figures.rate, figures) for number in accounts]
    plans = [at_latency(number, figures) for number in accounts]
    fast = [at_vendor_rate(number, figures) for number in accounts]
    by_directory = max(figures.directory, LATENCY / (PAGE * figures.pages))
    rows: list[tuple[str, list[str]]] = [
        ("shards; 1 is the operator", [f"{plan.shards:,}" for plan in plans]),
        ("`max_concurrency`", [f"{plan.in_flight:,}" for plan in plans]),
        ("time, replies after 50 ms", [_time(plan) for plan in plans]),
        (
            f"shards, `max_concurrency` for {VENDOR_RATE:,.0f} queries/s",
            [f"{plan.shards:,}, {plan.in_flight:,}" for plan in fast],
        ),
        ("time with these", [_time(plan) for plan in fast]),
        ("time from the directory, one task", [_duration(number * by_directory) for number in accounts]),
        ("written to the warehouse, first run", [_written(number, figures, 0) for number in accounts]),
        ("… run without changes", [_written(number, figures, 1) for number in accounts]),
        ("staging before `apply`", [_bytes(number * figures.staged) for number in accounts]),
        ("rows in Airflow's database", [f"{_metadata(plan.shards, figures):,.0f}" for plan in plans]),
        ("with one task, gives way first", [_first(plan) for plan in alone]),
        ("what to do", [_remedy(plan) for plan in alone]),
        ("with more shards, gives way next", [_first(plan, _WORKERS) for plan in plans]),
        ("what to do then", [_remedy(plan, _WORKERS) for plan in plans]),
    ]
    head = ("", *(f"{number:,} accounts" for number in accounts))
    return markdown.table(head, [(name, *cells) for name, cells in rows])


def _slowest(plan: Plan, but: str) -> tuple[str, float]:
    return next((part, share) for part, share in limits(plan) if part != but)


def _first(plan: Plan, but: str = "") -> str:
    part, share = _slowest(plan, but)
    return f"{part}: {share:.0%} of an hour"


def _remedy(plan: Plan, but: str = "") -> str:
    part, share = _slowest(plan, but)
    return _REMEDIES[part] if share > READ_SECONDS / HOUR else "nothing"


def _metadata(shards: int, figures: Figures) -> float:
    one_task, groups = figures.metadata
    if shards == 1:
        return one_task
    few, many = min(groups), max(groups)
    each = (groups[many] - groups[few]) / (many - few)
    return groups[few] + (shards - few) * each


def _written(accounts: int, figures: Figures, run: int) -> str:
    return f"{_bytes(accounts * figures.written[run])}, {accounts * figures.rows[run]:,.0f} rows"


def _time(plan: Plan) -> str:
    return _duration(sum(plan.seconds.values()))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.1f} h"


def _bytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"
