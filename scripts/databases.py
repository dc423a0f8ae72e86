"""Run the sync's tests on each database, and enter what passed into docs/sync.md: make test-databases."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = CHECKOUT / "docs" / "sync.md"

#: Name in the page → name in the tests.
DATABASES = {
    "PostgreSQL": "postgres",
    "MariaDB": "mariadb",
    "MariaDB, Latin 1": "latin1",
    "SQLite": "sqlite",
    "DuckDB": "duckdb",
    "Turso (the example)": "turso",
}
#: Property in the page → the test modules that show it.
PROPERTIES = {
    "statements follow the rules": ["sync.test_rules"],
    "runs at once": ["transfers.test_concurrent_runs"],
    "history": ["transfers.test_history"],
    "killed runs": ["transfers.test_resume"],
    "tables and texts": ["transfers.test_tables", "transfers.test_account_codes"],
    "closing": ["transfers.test_closing"],
}


def main() -> None:
    """Test the databases that are asked for, all by default."""
    parser = argparse.ArgumentParser(prog="make test-databases", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"of {', '.join(DATABASES.values())}; all by default")
    only = parser.parse_args().only or list(DATABASES.values())
    failed = False
    for title, name in DATABASES.items():
        if name in only:
            code, passed = _run(name)
            failed |= code != 0
            PAGE.write_text(enter(PAGE.read_text(), title, passed))
    if failed:
        raise SystemExit("tests failed")


def enter(page: str, title: str, passed: Counter[str]) -> str:
    """Put a result into its row of the page's table, which begins with the database.

    :param page: text of the page
    :param title: of the database
    :param passed: how many tests passed for each property
    """
    cells = [str(passed[name] or "–") for name in PROPERTIES]
    row = f"| {title} | {' | '.join(cells)} | {datetime.datetime.now(tz=datetime.UTC).date()} |"
    page, found = re.subn(rf"^\| {re.escape(title)} \|.*$", lambda _: row, page, flags=re.MULTILINE)
    if found != 1:
        raise SystemExit(f"{PAGE} has no row for {title}")
    return page


def _run(name: str) -> tuple[int, Counter[str]]:
    """Run the tests on a database; return pytest's exit code, and how many passed for each property."""
    files = {f"tests/{module.replace('.', '/')}.py" for modules in PROPERTIES.values() for module in modules}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-k", name, f"--junitxml={report}", *sorted(files)],
            env={**os.environ, "WAREHOUSE": name},
            cwd=CHECKOUT,
            check=False,
        )
        cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - written by pytest, above
        good = [case.get("classname", "") for case in cases if len(case) == 0]
    passed = Counter(
        title
        for title, modules in PROPERTIES.items()
        for place in good
        if any(place == f"tests.{module}" for module in modules)
    )
    return ended.returncode, passed


if __name__ == "__main__":
    main()
