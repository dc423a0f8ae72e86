"""CC-Management: paths and pages, read with one good session and never asked twice when refused."""

from __future__ import annotations

import pytest

from airflow_provider_cc.doctor.paths import spellings

INFO, PARAMS, DIRECTORY = "queryAgentInfoByAccount", "queryAgentLoginParams", "agentAccount/query"
UPPER = "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount"


def asked(cc, word):
    """The paths that were asked for, of those with a word in them."""
    return [one.path for one in cc.stats.recorded if word.lower() in one.path.lower()]


def test_the_spellings_of_a_path():
    assert [spelling.path for spelling in spellings(UPPER)] == [
        UPPER.lower(),
        UPPER.replace("CC-Management", "cc-management"),
        UPPER.replace("/rest", ""),
    ]
    assert "/apiaccess/rest/CC-Management/v1/x" in [
        spelling.path for spelling in spellings("/apiaccess/CC-Management/v1/x")
    ]


@pytest.mark.parametrize(
    ("paths", "bent"),
    [
        ("lower_case", ["account_path", "login_params_path", "directory_path"]),
        ("without_rest", ["account_path", "directory_path"]),
    ],
)
def test_paths_of_another_spelling(cc, examine, paths, bent):
    cc.settings.paths = paths
    examined = examine()
    for check in bent:
        assert examined.verdict(check) == "fail"
        assert "404 at the manual's path" in examined.findings[check].seen
        assert ("lower case" if paths == "lower_case" else "without /rest") in examined.findings[check].seen
        assert "hook.call()" in examined.findings[check].advice
    other = {"account_path", "login_params_path", "directory_path"} - set(bent)
    assert all(examined.verdict(check) == "ok" for check in other)
    for word in (INFO, PARAMS):
        assert len(asked(cc, word)) == len(set(asked(cc, word)))


def test_paths_that_are_nowhere(cc, examine):
    cc.faults.errors, cc.faults.only = {404: 1.0}, {INFO, PARAMS, DIRECTORY, "unknown"}
    examined = examine()
    for check in ("account_path", "login_params_path", "directory_path"):
        assert examined.verdict(check) == "fail"
        assert "every other spelling" in examined.findings[check].seen
    assert len(asked(cc, INFO)) == len(set(asked(cc, INFO))) == 4


@pytest.mark.parametrize("status", [401, 403])
def test_a_session_that_is_refused_from_the_start_ends_it(cc, examine, status):
    cc.settings.token_lifetime, cc.settings.expired_status = 0, status
    examined = examine()
    assert examined.verdict("account_path") == "fail"
    assert examined.verdict("directory_path") == "skipped"
    assert len(asked(cc, INFO)) == 1
    assert asked(cc, DIRECTORY) == asked(cc, PARAMS) == []
    assert cc.stats.sign_ins() == 1


def test_a_right_that_is_missing_for_one_interface(cc, examine):
    cc.faults.errors, cc.faults.only = {403: 1.0}, {PARAMS}
    examined = examine()
    assert examined.verdict("login_params_path") == "fail"
    assert examined.verdict("directory_path") == "ok"
    assert len(asked(cc, PARAMS)) == 1


def test_only_nobody_is_asked_about(cc, examine):
    examine()
    bodies = [one.json for one in cc.stats.recorded if one.endpoint in (INFO, PARAMS)]
    assert bodies == [{"accountCode": "cc-doctor-no-such-account"}, {}]
    assert not cc.stats.sign_ins("agent")


@pytest.mark.parametrize("code", ["0", "1"])
def test_the_code_for_an_account_that_does_not_exist(cc, examine, code):
    cc.settings.missing_account_code = code
    examined = examine()
    assert examined.verdict("account_path") == "ok"
    assert ("no_agent" if code == "0" else "code 1") in examined.findings["account_path"].seen


@pytest.mark.parametrize("larger", ["refused", "cut"])
def test_pages_that_are_too_large(cc, examine, larger):
    cc.settings.max_page_size, cc.settings.larger_pages = 50, larger
    examined = examine()
    assert examined.verdict("page_size") == "warn"
    assert "page_size=50" in examined.findings["page_size"].advice
    assert examined.verdict("page_numbers") == "ok"


def test_a_small_directory_proves_its_page_by_its_total(start, examine):
    start(agents=7)
    examined = examine()
    assert (examined.verdict("page_size"), examined.findings["page_size"].seen) == (
        "ok",
        "7 entries for a page of 100",
    )


def test_a_directory_without_total(cc, start, examine):
    cc.settings.directory_omits = {"total"}
    examined = examine()
    assert examined.verdict("total") == "warn"
    assert examined.verdict("page_size") == "ok"
    assert "no total" in examined.findings["envelope"].seen
    assert examined.verdict("envelope") == "warn"


def test_pages_that_count_from_1(cc, examine):
    cc.settings.first_page = 1
    examined = examine()
    assert examined.verdict("page_numbers") == "warn"
    assert "count from 1" in examined.findings["page_numbers"].seen


@pytest.mark.parametrize("agents", [0, 1])
def test_a_directory_too_short_to_tell(start, examine, agents):
    start(agents=agents)
    examined = examine()
    assert examined.verdict("page_numbers") == "unknown"
    assert examined.verdicts("fail") == []


def test_fields_that_the_directory_leaves_out(cc, examine):
    cc.settings.directory_omits = {"workNo", "sipAccount"}
    examined = examine()
    assert "no data[].workNo" in examined.findings["envelope"].seen
    assert "no data[].sipAccount" in examined.findings["envelope"].seen


def test_types_that_vary_are_reported_and_no_concern(cc, examine):
    before = examine()
    cc.faults.vary_types = True
    after = examine()
    assert after.verdicts("fail", "warn") == []
    assert "`data[].workNo` | number" in before.report
    assert "`data[].workNo` | string" in after.report


def test_a_directory_that_fails(cc, examine):
    cc.faults.errors, cc.faults.only = {500: 1.0}, {DIRECTORY}
    examined = examine()
    assert examined.verdict("directory_path") == "warn"
    assert examined.verdict("page_size") == "skipped"
    assert cc.stats.requests(DIRECTORY) == 4
