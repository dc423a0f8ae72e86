"""Run all tests on every Airflow and Python, and enter the results in docs/versions.md: make test-matrix."""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "versions.md"

#: What `make test` is asked for; the default Python is the one that the environments were made with.
LINES = {
    "2.11.2": ("AIRFLOW=2.11.2",),
    "3.0.6": ("AIRFLOW=3.0.6",),
    "3.3.2": ("AIRFLOW=3.3.2",),
    "3.3.2-py3.13": ("AIRFLOW=3.3.2", "PYTHON=python3.13"),
}

_HEADER = re.compile(r"^platform .* Python (\d+\.\d+\.\d+)", re.MULTILINE)
_CLOSING = re.compile(r"^=+ (.*\d .*) in (\d+)\.\d+s\b", re.MULTILINE)


class NoResult(Exception):
    """The tests came to no end that could be read."""


@dataclass(frozen=True)
class Result:
    """What a run of the tests said.

    :param python: its version
    :param passed: how many tests passed
    :param skipped: how many were left out
    :param failed: how many failed, or could not be set up
    :param seconds: how long all took
    """

    python: str
    passed: int
    skipped: int
    failed: int
    seconds: int

    def cells(self) -> list[str]:
        """Return what stands in the page's table."""
        minutes, seconds = divmod(self.seconds, 60)
        return [
            self.python,
            f"{self.passed:,}",
            str(self.skipped),
            str(self.failed),
            f"{minutes} min {seconds} s",
        ]


def main() -> None:
    """Run the lines that are asked for, all by default, and enter each result as soon as it is there."""
    parser = argparse.ArgumentParser(prog="make test-matrix", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"of {', '.join(LINES)}; all by default")
    only = parser.parse_args().only
    if unknown := set(only) - set(LINES):
        parser.error(f"no line {', '.join(sorted(unknown))}")
    today = datetime.datetime.now(tz=datetime.UTC).date()
    failed = []
    for name in only or LINES:
        print(f"== {name}", flush=True)
        code, said = _run(["make", "test", *LINES[name]])
        result = read(said)
        PAGE.write_text(enter(PAGE.read_text(), name, [*result.cells(), str(today)]))
        if code:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def read(said: str) -> Result:
    """Read the result of a run.

    :param said: all that pytest printed
    :raises NoResult: it has no closing line
    """
    header, closing = _HEADER.search(said), _CLOSING.findall(said)
    if header is None or not closing:
        raise NoResult("pytest came to no closing line")
    counts, seconds = closing[-1]
    count = {kind: int(number) for number, kind in re.findall(r"(\d+) (\w+)", counts)}
    failed = sum(count.get(kind, 0) for kind in ("failed", "error", "errors"))
    return Result(header[1], count.get("passed", 0), count.get("skipped", 0), failed, int(seconds))


def enter(page: str, name: str, cells: list[str]) -> str:
    """Put a result into its row of the page's table, which ends in the line's name.

    :param page: text of the page
    :param name: of the line, in :data:`LINES`
    :param cells: what stands between
    """
    airflow = name.partition("-")[0]
    row = f"| {airflow} | {' | '.join(cells)} | `{name}` |"
    page, found = re.subn(rf"^\| .* \| `{re.escape(name)}` \|$", lambda _: row, page, flags=re.MULTILINE)
    if found != 1:
        raise SystemExit(f"{PAGE} has no row for {name}")
    return page


def _run(command: list[str]) -> tuple[int, str]:
    """Run a command, show what it prints, and return its exit code and that."""
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            said.append(line)
    return process.returncode, "".join(said)


if __name__ == "__main__":
    main()
