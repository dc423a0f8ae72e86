"""The site: every page has its place, every public name its entry, and nothing on it is broken or foreign."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.site import FROM_ROOT
from scripts.site_check import faults
from tests.conftest import CHECKOUT
from tests.docs.pages import PAGES, page

DOCS = CHECKOUT / "docs"
#: What users type and import: modules, and what is in them.
PUBLIC = {
    "hooks.management": {
        "CCManagementHook": ["query_agent_info", "query_agent_login_params", "query_agents", "call"]
    },
    "hooks.gateway": {"CCGatewayHook": ["login", "guid", "call", "query_login_info", "agent_session"]},
    "hooks.isales": {"CCISalesHook": ["login", "refresh", "call"]},
    "hooks.agent": {"AgentSession": ["query_login_info"], "CCAgentHook": ["credentials"]},
    "hooks.base": {"CCHook": ["send", "bulk", "test_connection"]},
    "operators.management": {"CCQueryAgentInfoOperator": [], "CCQueryAgentLoginParamsOperator": []},
    "operators.gateway": {"CCConfigLoginOperator": [], "CCQueryLoginInfoOperator": []},
    "operators.isales": {"CCISalesLoginOperator": []},
    "sensors.management": {"CCAgentSensor": []},
    "retry_policy": {"CC_RETRY_POLICY": []},
    "transfers.agents_to_sql": {
        "CCAgentsToSqlOperator": ["account_passwords", "columns"],
        "cc_agents_sync": [],
    },
    "sync.dialects.base": {"Dialect": ["append", "driver", "lock", "may_pass", "now"]},
    "transfers.columns": {"Column": [], "AGENT_COLUMNS": []},
    "exceptions": {
        f"CC{kind}Error": [] for kind in ("", "Config", "Auth", "Business", "Transient", "Response")
    },
    "api.management": {"AgentInfo": [], "AgentLoginParams": [], "DirectoryAgent": []},
    "api.gateway": {"PhoneToken": []},
    "api.protocol": {"Call": [], "Endpoint": []},
}
#: Of these, the ones that ask the contact center for something of the manual's.
ASKING = [
    f"{module}.{owner}.{method}"
    for module in ("hooks.management", "hooks.gateway", "hooks.isales")
    for owner, methods in PUBLIC[module].items()
    for method in methods
    if method not in ("call", "guid")  # any interface, and none
] + [
    f"{module}.{owner}"
    for module in PUBLIC
    if module.startswith(("operators.", "sensors."))
    for owner in PUBLIC[module]
]


def public_names() -> Iterator[str]:
    for module, owners in PUBLIC.items():
        for owner, members in owners.items():
            yield f"airflow_provider_cc.{module}.{owner}"
            yield from (f"airflow_provider_cc.{module}.{owner}.{member}" for member in members)


def resolve(called: str) -> tuple[str, Any]:
    """Return the module of a public name, and what it stands for."""
    module = max((f"airflow_provider_cc.{module}" for module in PUBLIC if f".{module}." in called), key=len)
    found: Any = importlib.import_module(module)
    for name in called.removeprefix(f"{module}.").split("."):
        found = inspect.getattr_static(found, name)
    return module, found


def places(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for place in entry.values():
            yield from [place] if isinstance(place, str) else places(place)


def test_every_page_has_its_place_in_the_navigation() -> None:
    config = tomllib.loads((DOCS / "zensical.toml").read_text())
    of_docs = {str(path.relative_to(DOCS)) for path in PAGES if path.is_relative_to(DOCS)}

    assert sorted(places(config["project"]["nav"])) == sorted(of_docs | set(FROM_ROOT.values()))


def test_nothing_is_fetched_to_build_or_to_read() -> None:
    config = tomllib.loads((DOCS / "zensical.toml").read_text())["project"]

    assert config["theme"]["font"] is False
    assert config["plugins"]["mkdocstrings"]["handlers"]["python"]["inventories"] == []
    assert "repo_url" not in config, "with it, every reader's browser asks the code host for stars"


def test_every_public_name_has_a_docstring_in_the_reference() -> None:
    reference = "\n".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    for called in public_names():
        module, found = resolve(called)
        assert f"\n::: {module}\n" in reference, f"{module} is not in docs/reference"
        if not called.rpartition(".")[2].isupper():  # a constant has a comment
            assert inspect.getdoc(found), called


def test_what_asks_the_center_names_the_page_of_the_manual() -> None:
    page = re.compile(r"^Manual: CC-(Management|Gateway|iSales), ", re.MULTILINE)
    for called in ASKING:
        _, found = resolve(f"airflow_provider_cc.{called}")
        assert page.search(inspect.getdoc(found) or ""), called


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<a href="b.html#there">', None),
        ('<a href="https://example.com/">', None),
        ('<link rel="canonical" href="https://example.com/">', None),
        ('<img src="data:image/png;base64,AA==">', None),
        ('<a href="c.html">', "c.html does not exist"),
        ('<a href="b.html#here">', "b.html#here has no such anchor"),
        ('<a href="#here">', "#here has no such anchor"),
        ('<img src="c.png">', "c.png does not exist"),
        ('<script src="https://example.com/a.js"></script>', "loads https://example.com/a.js"),
        ('<script src="//example.com/a.js"></script>', "loads //example.com/a.js"),
        ('<link rel="stylesheet" href="https://example.com/a.css">', "loads https://example.com/a.css"),
        ("<style>@import 'https://example.com/a.css';</style>", "loads https://example.com/a.css"),
        ('<p style="background: url(https://example.com/a.png)">', "loads https://example.com/a.png"),
        ('<form action="https://example.com/">', "loads https://example.com/"),
    ],
)
def test_what_is_wrong_with_a_site_is_found(page: str, fault: str | None, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f'<a href="b.html">{page}')
    (tmp_path / "b.html").write_text('<h1 id="there">')

    assert faults(tmp_path) == ([] if fault is None else [f"index.html: {fault}"])


def test_a_page_out_of_reach_and_a_foreign_font_are_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    (tmp_path / "b.html").write_text("")
    (tmp_path / "a.css").write_text("@font-face { src: url(https://example.com/a.woff2) }")

    assert faults(tmp_path) == [
        "a.css: loads https://example.com/a.woff2",
        "b.html: no page links to it",
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_site_is_built_with_every_public_name() -> None:
    built = subprocess.run(["make", "docs"], cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert built.returncode == 0, built.stdout + built.stderr
    reference = "".join(path.read_text() for path in (CHECKOUT / ".cache/site/html/reference").glob("*.html"))
    anchors = set(re.findall(r'id="([^"]+)"', reference))
    assert set(public_names()) - anchors == set()


def test_links_that_an_index_of_packages_cannot_follow() -> None:
    """See the rule for the README in ``pyproject.toml``."""
    rules = tomllib.loads(page("pyproject.toml"))["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = page("README.md")
    for rule in rules["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)

    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []
