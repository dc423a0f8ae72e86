"""What the doctor's page names is there: every check, every extra, every option."""

from __future__ import annotations

from airflow_provider_cc.doctor.command import ARGUMENTS
from airflow_provider_cc.doctor.diagnosis import CHECKS_OF
from airflow_provider_cc.doctor.findings import CHECKS, Verdict
from airflow_provider_cc.get_provider_info import CONNECTION_TYPES
from tests.docs.pages import code_words, page, section, tables

PAGE = "docs/doctor.md"


def test_checks() -> None:
    rows = tables(section(PAGE, "## Checks"))[0][1:]
    assert [code_words(check)[0] for check, _, _ in rows] == list(CHECKS)
    for check, _, connections in rows:
        named = set(code_words(connections))
        if connections.startswith("all"):
            named = set(CHECKS_OF) - named
        assert named == {kind for kind, checks in CHECKS_OF.items() if code_words(check)[0] in checks}, check


def test_every_uncertainty_has_a_check_or_a_setting() -> None:
    extras = {name for entry in CONNECTION_TYPES for name in entry["conn-fields"]}
    rows = tables(section(PAGE, "## Uncertainties"))[0][1:]
    assert len(rows) > 20
    for question, checks, settings, _ in rows:
        assert code_words(checks) or code_words(settings), question
        assert set(code_words(checks)) <= set(CHECKS)
        assert set(code_words(settings)) <= extras


def test_verdicts() -> None:
    told = [row[0] for row in tables(section(PAGE, "## Verdicts"))[0][1:]]
    assert told == [verdict.value for verdict in Verdict]


def test_options() -> None:
    told = [code_words(row[0])[0] for row in tables(page(PAGE))[0][1:]]
    assert set(told) == {name for name in ARGUMENTS if name.startswith("--")}
