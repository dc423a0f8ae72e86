"""Check that a tag names the version that is about to be published: `make tag-check TAG=v1.2.3`."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Exit with what is wrong, if anything is."""
    parser = argparse.ArgumentParser(prog="make tag-check", description=__doc__)
    parser.add_argument("tag", help="v and the version")
    tag = parser.parse_args().tag
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    if wrong := objection(tag, version, (CHECKOUT / "CHANGELOG.md").read_text()):
        raise SystemExit(wrong)
    print(f"{tag} is this version, and the changelog has it")


def objection(tag: str, version: str, changelog: str) -> str | None:
    """Return why a tag must not be published, or ``None``.

    :param tag: the tag
    :param version: of the project
    :param changelog: text of the changelog
    """
    if tag != f"v{version}":
        return f"the tag is {tag}, but the version in pyproject.toml is {version}: v{version} would be right"
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        return f"CHANGELOG.md has no section '## {version} - YYYY-MM-DD'"
    return None


if __name__ == "__main__":
    main()
