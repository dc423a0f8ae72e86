"""What is wrong with a built site: dead links, pages out of reach, things loaded from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attributes by which a page loads or sends something without being asked.
_LOADING = {"action", "data", "poster", "src", "srcset"}
#: Relations of a ``<link>`` that name another page and load nothing.
_NAMING = {"alternate", "author", "canonical", "license", "next", "prev"}
#: What a style sheet loads.
_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


class _Page(HTMLParser):
    """Gathers anchors, links and loads of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set(_STYLE.findall(text))
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        elif "href" in values and values.get("rel") not in _NAMING:
            self.loads.add(values["href"])
        self.loads |= {values[name] for name in _LOADING & values.keys()}


def faults(folder: Path) -> list[str]:
    """Return what is wrong with a built site, a line for each fault.

    :param folder: where the built pages are
    """
    pages = {path: _Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    found: list[str] = []
    reached: set[Path] = set()
    for path, page in pages.items():
        name = path.relative_to(folder)
        for link in sorted(page.links | page.loads):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                if link in page.loads and url.scheme != "data":
                    found.append(f"{name}: loads {link}")
                continue
            if url.path.startswith("/"):  # the page of errors, which may be shown anywhere
                target = folder / unquote(url.path).lstrip("/")
            else:
                target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                found.append(f"{name}: {link} does not exist")
            elif url.fragment and target in pages and unquote(url.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link} has no such anchor")
            if target != path:
                reached.add(target)
    for path in sorted(folder.rglob("*.css")):
        found += [f"{path.relative_to(folder)}: loads {url}" for url in _STYLE.findall(path.read_text())]
    lost = set(pages) - reached - {folder / "index.html", folder / "404.html"}
    return found + [f"{path.relative_to(folder)}: no page links to it" for path in sorted(lost)]
