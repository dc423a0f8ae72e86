"""Measure, and write the tables in the documentation: `python -m benchmarks [SUITE …]`."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks import scale, suites
from benchmarks.center import CHECKOUT

PAGE = CHECKOUT / "docs" / "benchmarks.md"

#: Each returns its table; or, if it writes into several pages, the name of each with its table.
SUITES: dict[str, Callable[[Path, int], str | dict[str, str]]] = {
    "accounts": suites.accounts_by_query,
    "cpu": suites.cpu,
    "directory": suites.directory,
    "apply": suites.stage_and_apply,
    "task": suites.real_task,
    "memory": suites.memory,
    "rate": suites.rate_limit,
    "scale": scale.scale,
    "today": suites.what_users_do_today,
}


def main() -> None:
    """Run the suites that are asked for, all by default, and put their tables into the page."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    options = parser.parse_args()
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}")
    folder = CHECKOUT / ".cache" / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ |= {"AIRFLOW_HOME": str(folder / "airflow"), "BENCH_FOLDER": str(folder)}
    for name in options.suites or SUITES:
        print(f"== {name}", flush=True)
        found = SUITES[name](folder, options.rounds)
        for page, table in (found if isinstance(found, dict) else {PAGE.name: found}).items():
            _enter(name, table, PAGE.with_name(page))


def _enter(name: str, table: str, file: Path) -> None:
    """Put a suite's table into a page, in place of its last one."""
    print(table, flush=True)
    day = datetime.datetime.now(tz=datetime.UTC).date()
    size = os.environ.get(scale.SIZE)  # a trial must not pass for the real figures
    smaller = f" {scale.SIZE}={size}" if name == "scale" and size else ""
    stamp = f"Measured {day}, {_machine()}: `make bench SUITES={name}{smaller}`."
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = file.read_text()
    block = f"{begin}\n{table}\n\n{stamp}\n{end}"
    page, found = re.subn(f"{begin}.*?{end}", lambda _: block, page, flags=re.DOTALL)
    if not found:
        raise SystemExit(f"{file} has no place for {name}: {begin}{end}")
    file.write_text(page)


def _machine() -> str:
    cpus = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return f"{len(cpus)} × {cpus[0] if cpus else platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
