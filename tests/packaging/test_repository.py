"""What must hold for every file under version control."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

# Put together from pieces, so that this file does not find itself.
FORBIDDEN = {
    "a path of somebody's machine": r"(?<![\w.])/(?:ro{2}t|home|Users|work|mnt)/\w",
    "the host of a package registry": r"(?:pypi|python"
    r"hosted|npm"
    r"js|deb\.debian)\.org",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE" r" KEY",
    "a token of a code host or a cloud": r"\b(?:gh[pousr]_\w{30}|AKIA[0-9A-Z]{16}|xox[bap]-\w{10})",
}


def _files() -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return (CHECKOUT / name for name in listed.splitlines() if (CHECKOUT / name).is_file())


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_has(what: str) -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}:{number}"
        for path in _files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if re.search(FORBIDDEN[what], line)
    ]

    assert found == []


def test_every_requirement_is_pinned() -> None:
    for path in (CHECKOUT / "requirements").glob("*.txt"):
        lines = path.read_text().splitlines()
        assert lines
        assert all(re.match(r"[a-z0-9.-]+==[\w.]+( ; .+)?$", line) for line in lines), path.name


def test_every_target_of_make_says_what_it_does() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()

    for target in re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE):
        assert re.search(rf"^{target}:.*## \w", makefile, re.MULTILINE), target
