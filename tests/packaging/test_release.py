"""A release is what its tag says, and its changelog is in the form that tools and readers know."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from scripts.tag import objection
from tests.conftest import CHECKOUT

VERSION: str = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
CHANGELOG = (CHECKOUT / "CHANGELOG.md").read_text()
RELEASED = f"# Changelog\n\n## Unreleased\n\n## {VERSION} - 2026-12-01\n\n### Added\n"


def test_a_tag_that_is_the_version_passes() -> None:
    assert objection(f"v{VERSION}", VERSION, RELEASED) is None


@pytest.mark.parametrize("tag", [VERSION, f"v{VERSION}.1", f"v{VERSION}rc1", "v9.9.9", "main", ""])
def test_any_other_tag_is_refused(tag: str) -> None:
    assert VERSION in (objection(tag, VERSION, RELEASED) or "")


@pytest.mark.parametrize(
    "heading", ["## Unreleased", f"## {VERSION}", f"## {VERSION} - soon", "## 9.9.9 - 2026-12-01"]
)
def test_a_version_that_the_changelog_does_not_date_is_refused(heading: str) -> None:
    told = objection(f"v{VERSION}", VERSION, f"# Changelog\n\n{heading}\n\n### Added\n")

    assert "CHANGELOG.md" in (told or "")


def test_a_wrong_tag_ends_the_command_with_an_error() -> None:
    command = [sys.executable, "-m", "scripts.tag", "v9.9.9"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"v{VERSION} would be right" in done.stderr


def test_changelog_is_in_the_form_of_keep_a_changelog() -> None:
    headings = re.findall(r"^#{1,3} .*$", CHANGELOG, re.MULTILINE)

    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert headings[0] == "# Changelog"
    assert "https://keepachangelog.com/" in CHANGELOG
    for heading in headings[1:]:
        if heading.startswith("### "):
            assert heading.removeprefix("### ") in kinds
        else:
            assert re.fullmatch(r"## (Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d)", heading), heading


def test_changelog_is_ahead_of_nothing_and_behind_nothing() -> None:
    """What stands on top is this version, or what is to become it."""
    top = re.search(r"^## (\S+)", CHANGELOG, re.MULTILINE)

    assert top is not None
    assert top[1] in ("Unreleased", VERSION)
