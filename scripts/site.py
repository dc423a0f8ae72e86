"""The documentation as a site: ``make docs`` builds it strictly and checks it, ``make docs-serve`` shows it.

The generator takes the folder it runs in for its own, with a ``.cache`` in it that it may empty. So it works
on a copy of the pages, which those in the checkout's root join.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.site_check import faults

CHECKOUT = Path(__file__).resolve().parent.parent
BUILT = CHECKOUT / ".cache" / "site"
SERVED = CHECKOUT / ".cache" / "site-serve"
GENERATOR = str(Path(sys.prefix, "bin", "zensical"))
#: Pages in the root, and what the site calls them.
FROM_ROOT = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "weaknesses.md",
}
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Build or serve; return the exit code."""
    return serve() if sys.argv[1:] == ["serve"] else build()


def build() -> int:
    """Build the site; a link to a page or an anchor that is not there fails it."""
    shutil.rmtree(BUILT, ignore_errors=True)
    gather(BUILT)
    command = [GENERATOR, "build", "--strict"]
    built = subprocess.run(command, cwd=BUILT, capture_output=True, text=True, check=False)
    said, _, _ = (built.stdout + built.stderr).partition("Traceback (")
    print(_COLOR.sub("", said).strip())
    if built.returncode:
        return built.returncode
    html = BUILT / "html"
    found = faults(html)
    print(*found, f"{len(list(html.rglob('*.html')))} pages in {html.relative_to(CHECKOUT)}", sep="\n")
    return 1 if found else 0


def serve() -> int:
    """Show the site on this machine until Ctrl-C, and keep up with changes."""
    gather(SERVED)
    server = subprocess.Popen([GENERATOR, "serve", "--dev-addr", "127.0.0.1:8000"], cwd=SERVED)
    try:
        while server.poll() is None:
            time.sleep(1)
            gather(SERVED)
    except KeyboardInterrupt:
        server.wait()
    return server.returncode


def gather(folder: Path) -> None:
    """Copy what is new or has changed.

    :param folder: where the generator works
    """
    for path in (CHECKOUT / "docs").rglob("*"):
        if path.name == "zensical.toml":
            _copy(path.read_bytes(), folder / path.name)
        elif path.suffix == ".md":
            text = path.read_text()
            for name, called in FROM_ROOT.items():
                text = text.replace(f"](../{name}", f"]({called}")
            _copy(_unmarked(text), folder / path.relative_to(CHECKOUT))
        elif path.suffix in (".png", ".json"):
            _copy(path.read_bytes(), folder / path.relative_to(CHECKOUT))
    for name, called in FROM_ROOT.items():
        text = (CHECKOUT / name).read_text().replace("](docs/", "](")
        for other, place in FROM_ROOT.items():
            text = text.replace(f"]({other}", f"]({place}")
        _copy(_unmarked(text), folder / "docs" / called)


def _unmarked(text: str) -> bytes:
    """Leave out how the tests run a snippet: the generator takes a fence with two words for text."""
    return re.sub(r"^( *```\w+) \w+$", r"\1", text, flags=re.MULTILINE).encode()


def _copy(content: bytes, place: Path) -> None:
    if not place.exists() or place.read_bytes() != content:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
