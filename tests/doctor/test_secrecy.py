"""No secret in the table, the report, the returned values or a log; no name of anybody in the report."""

from __future__ import annotations

import json

import pytest

from airflow_provider_cc.doctor.diagnosis import HOOKS, diagnose_hook
from tests.doctor.support import MANAGEMENT, SYSTEMS

WRONG = "WrongPass-umber-glacier-3f6b"
BENT = {
    "as in the manual": {},
    "other paths": {"paths": "lower_case"},
    "echo": {"echo_secrets": True, "expired_status": 401, "token_lifetime": 0, "guid_lifetime": 0},
    "refused": {"echo_secrets": True, "refused_status": 403},
    "declined": {"echo_secrets": True, "refused_status": 200},
}


@pytest.mark.parametrize("bent", BENT)
@pytest.mark.parametrize("conn_id", SYSTEMS)
def test_nothing_leaks(cc, reconnect, examine, logged, conn_id, bent):
    for name, value in BENT[bent].items():
        setattr(cc.settings, name, value)
    changes = {"password": WRONG} if bent in ("refused", "declined") else {}
    reconnect(conn_id, host="localhost", **changes)
    examined = examine(conn_id)
    returned = diagnose_hook(HOOKS[conn_id.removesuffix("_default")](conn_id))

    everything = f"{examined}{examined.table}{examined.report}{returned}{logged.text()}"
    people = [cc.agent(account) for account in cc.accounts()]
    secrets = {
        WRONG,
        *cc.secrets(),
        *(agent.user_name for agent in people),
        *(agent.email for agent in people),
    }
    assert len(secrets) > 500
    assert [secret for secret in secrets if secret in everything] == []

    login = cc.connections()[conn_id]["login"]
    names = {"localhost", "127.0.0.1", conn_id, *(agent.account for agent in people)}
    assert [name for name in names if name in examined.report] == []
    assert len(login) < 4 or login not in examined.report


def test_the_report_says_what_is_needed(cc, examine):
    report = examine().report
    assert "airflow-provider-cc 0." in report
    assert "apache-airflow " in report
    assert "| tls | ok | trusted" in report
    assert "- tokenByAkSk, POST: 200, JSON of" in report
    assert "`AccessToken` | string" in report


def test_diagnose_returns_plain_values(cc):
    returned = diagnose_hook(HOOKS["cc_management"](MANAGEMENT))
    assert json.loads(json.dumps(returned)) == returned
    assert returned[0] == {
        "check": "connection",
        "verdict": "ok",
        "seen": "complete",
        "advice": "",
        "extra": {},
        "fields": {},
    }
    assert cc.stats.sign_ins() == 1


def test_diagnose_leaves_the_hooks_session_alone(cc):
    hook = HOOKS["cc_management"](MANAGEMENT)
    hook.query_agent_info("agent000001")
    diagnose_hook(hook)
    hook.query_agent_info("agent000002")
    assert cc.stats.sign_ins() == 2


def test_what_nobody_thought_of_is_told_without_its_text(cc, examine, monkeypatch):
    from airflow_provider_cc.doctor import management

    def stumble(exam):
        raise RuntimeError(WRONG)

    monkeypatch.setattr(management, "check_accounts", stumble)
    examined = examine()
    assert examined.verdict("account_path") == "unknown"
    assert "RuntimeError" in examined.table
    assert WRONG not in examined.table + examined.report
    assert examined.verdict("clock") == "ok"
