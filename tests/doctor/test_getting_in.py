"""What stands before a session: firewall, path, credential; and what the session is worth."""

from __future__ import annotations

import pytest

from airflow_provider_cc.doctor import network
from tests.doctor.support import GATEWAY, ISALES, MANAGEMENT, SYSTEMS
from tests.hooks.support import PLAIN, http, says

#: Of a server that takes one request for each connection.
CLOSE = "Connection: close\r\n"
EVERY_SYSTEM = pytest.mark.parametrize("conn_id", SYSTEMS)


@pytest.mark.parametrize(("conn_id", "empty"), [(MANAGEMENT, 0.0), (GATEWAY, 1.0), (ISALES, 0.0)])
def test_a_firewall_is_told_from_a_wrong_key(cc, examine, conn_id, empty):
    cc.settings.allow_listed, cc.faults.empty = False, empty
    examined = examine(conn_id)
    assert examined.verdict("unauthenticated_request") == "warn"
    assert examined.verdict("sign_in") == "fail"
    assert examined.verdict("allow_list") == "fail"
    assert "allow list" in examined.findings["allow_list"].advice
    assert "skipped" in examined.table


@pytest.mark.parametrize(("conn_id", "status"), [(MANAGEMENT, 401), (ISALES, 403)])
def test_a_wrong_key_is_told_from_a_firewall(cc, reconnect, examine, conn_id, status):
    cc.settings.refused_status = status
    reconnect(conn_id, password="wrong-password")
    examined = examine(conn_id)
    assert examined.verdict("sign_in") == "fail"
    assert examined.verdict("allow_list") == "ok"
    assert "the contact center itself" in examined.findings["allow_list"].seen
    assert "lock accounts" in examined.findings["sign_in"].advice
    assert cc.stats.refused() == 1


@pytest.mark.usefixtures("variables")
def test_what_was_refused_is_not_sent_again_before_its_rest_is_lifted(cc, reconnect, examine):
    reconnect(MANAGEMENT, password="wrong-password")
    examine()
    examined = examine()
    assert examined.findings["sign_in"].seen == "blocked, therefore not sent"
    assert "airflow variables delete cc_blocked__" in examined.findings["sign_in"].private
    assert cc.stats.refused() == 1
    reconnect(MANAGEMENT)
    assert examine().verdict("sign_in") == "ok"


@EVERY_SYSTEM
def test_a_refusal_inside_a_200(cc, reconnect, examine, conn_id):
    cc.settings.refused_status = 200
    reconnect(conn_id, password="wrong-password")
    examined = examine(conn_id)
    assert examined.verdict("sign_in") == "fail"
    assert "rejected" in examined.findings["sign_in"].seen
    assert examined.verdict("allow_list") == "ok"
    assert cc.stats.refused() == 1


def test_a_refusal_that_might_be_either(cc, reconnect, examine):
    reconnect(MANAGEMENT, password="wrong-password")
    cc.faults.html_errors = True  # every error is answered with a page
    assert examine().verdict("allow_list") == "unknown"


@pytest.mark.parametrize(("conn_id", "status"), [(MANAGEMENT, 429), (GATEWAY, 500), (ISALES, 502)])
def test_a_sign_in_without_an_answer_is_not_repeated(cc, examine, conn_id, status):
    cc.faults.errors = {status: 1.0}
    cc.faults.only = {"tokenByAkSk", "config/login", "auth/login"}
    examined = examine(conn_id)
    assert examined.verdict("sign_in") == "fail"
    assert str(status) in examined.findings["sign_in"].seen


def test_a_token_path_of_another_spelling(cc, reconnect, examine):
    cc.settings.paths = "lower_case"
    examined = examine()
    assert examined.verdict("sign_in_path") == "fail"
    assert examined.findings["sign_in_path"].extra == {"token_url": "/apigovernance/api/oauth/tokenbyaksk"}
    assert examined.verdict("sign_in") == "ok"

    reconnect(MANAGEMENT, extra=examined.findings["sign_in_path"].extra)
    assert examine().verdict("sign_in_path") == "ok"


def test_a_path_at_another_port(start, connect, examine, serve, monkeypatch):
    elsewhere = serve(says(http(b"", "404 Not Found", CLOSE)))
    plain = start(agents=3, tls=False)
    monkeypatch.setitem(network.PORTS, "cc_management", (plain.port,))
    connect(MANAGEMENT, PLAIN, port=elsewhere.port)
    examined = examine()
    assert examined.verdict("sign_in_path") == "fail"
    assert examined.findings["sign_in_path"].fields == {"port": plain.port}
    assert examined.verdict("sign_in") == "skipped"
    assert plain.stats.sign_ins() + plain.stats.refused() == 0


def test_a_path_that_nobody_answers_at(cc, examine):
    """Nor is the sign-in repeated, which ``examine`` checks."""
    cc.faults.reset_before, cc.faults.only = 1.0, {"tokenByAkSk"}
    examined = examine()
    assert (examined.verdict("sign_in_path"), examined.verdict("sign_in")) == ("unknown", "fail")


def test_a_path_that_is_nowhere(connect, examine, serve, monkeypatch):
    monkeypatch.setitem(network.PORTS, "cc_management", ())
    connect(MANAGEMENT, PLAIN, port=serve(says(http(b"{}", "404 Not Found", CLOSE))).port)
    examined = examine()
    assert examined.verdict("sign_in_path") == "unknown"
    assert examined.verdict("sign_in") == "fail"


def test_a_shorter_life_than_asked_for(cc, examine):
    cc.settings.token_lifetime = 600
    examined = examine()
    assert examined.verdict("lifetime") == "warn"
    assert "600 s granted, 3600 s requested" in examined.findings["lifetime"].seen
    assert examined.findings["lifetime"].extra == {"token_lifetime": 600}


def test_a_life_in_milliseconds(cc, examine):
    cc.settings.expires_in = "milliseconds"
    examined = examine()
    assert examined.verdict("lifetime") == "warn"
    assert "cannot be seconds" in examined.findings["lifetime"].seen


def test_a_life_that_was_asked_for_is_granted(cc, reconnect, examine):
    reconnect(MANAGEMENT, extra={"token_lifetime": 900})
    examined = examine()
    assert examined.verdict("lifetime") == "ok"
    assert "900 s of 900 s" in examined.findings["lifetime"].seen


@pytest.mark.parametrize(("conn_id", "ahead"), [(MANAGEMENT, 7200), (MANAGEMENT, -7200), (GATEWAY, 7200)])
def test_a_clock_that_is_wrong(cc, examine, conn_id, ahead):
    cc.settings.clock_ahead = ahead
    examined = examine(conn_id)
    assert examined.verdict("clock") == "warn"
    assert ("ahead" if ahead > 0 else "behind") in examined.findings["clock"].seen
    if conn_id == MANAGEMENT:
        assert f"CreateTime differs by {'+' if ahead > 0 else '-'}7" in examined.findings["lifetime"].seen


def test_a_tenant_space_that_is_missing(cc, reconnect, examine):
    cc.settings.tenant_space_id = "space-7-heron"
    examined = examine()
    assert examined.verdict("sign_in") == "fail"
    assert "tenant_space_id" in examined.findings["sign_in"].advice

    reconnect(MANAGEMENT, extra={"tenant_space_id": "space-7-heron"})
    examined = examine()
    assert "with X-TenantSpaceID" in examined.findings["tenant_space"].seen
    assert "space-7-heron" not in examined.table + examined.report


def test_a_load_balancer(cc, examine):
    cc.settings.sticky_cookie = True
    examined = examine()
    assert examined.verdicts("fail", "warn") == []
    assert "1 set and sent back" in examined.findings["cookies"].seen
    assert "CCNODE" in examined.table


@pytest.mark.parametrize("place", ["body", "header", "both"])
def test_where_the_guid_comes(cc, examine, place):
    cc.settings.config_guid_in = place
    examined = examine(GATEWAY)
    seen = {"both": "body and header"}.get(place, place)
    assert (examined.verdict("guid_place"), examined.findings["guid_place"].seen) == ("ok", seen)
    assert examined.verdict("config_read") == "ok"


def test_a_guid_that_is_not_accepted_is_used_once(cc, examine):
    cc.settings.guid_lifetime = 0
    examined = examine(GATEWAY)
    assert examined.verdict("config_read") == "fail"
    assert "107-000" in examined.findings["config_read"].seen
    assert cc.stats.requests("config/vdn/agents") == 1
    assert cc.stats.sign_ins() == 1


@pytest.mark.parametrize(
    ("header", "kind"),
    [("Authentication", "token"), ("Authentication", "refreshToken"), ("Authorization", "token")],
)
def test_which_header_and_token(cc, examine, reconnect, header, kind):
    cc.settings.isales_header, cc.settings.isales_token_kind = header, kind
    examined = examine(ISALES)
    assert cc.stats.requests("business/interface") <= 4
    assert cc.stats.requests("business/tasks") == 0
    assert cc.stats.requests("auth/refresh") == 0
    right = {"token_header": header, "token_kind": kind}
    if right == {"token_header": "Authentication", "token_kind": "token"}:
        assert examined.verdict("token_header") == "ok"
        assert examined.findings["token_header"].extra == {}
    else:
        assert examined.verdict("token_header") == "fail"
        assert examined.findings["token_header"].extra == right
        assert f"`token_header` = `{header}`" in examined.report

    reconnect(ISALES, extra=right)
    cc.stats.reset()
    assert examine(ISALES).verdict("token_header") == "ok"
    assert cc.stats.requests("business/interface") == 1


def test_a_session_that_no_header_helps(cc, examine):
    cc.settings.isales_token_lifetime = cc.settings.isales_refresh_lifetime = 0
    cc.settings.expired_status = 403
    examined = examine(ISALES)
    assert examined.verdict("token_header") == "fail"
    assert cc.stats.requests("business/interface") == 4


def test_an_interface_that_proves_nothing(cc, examine):
    cc.faults.errors, cc.faults.only = {404: 1.0}, {"business/interface"}
    examined = examine(ISALES)
    assert examined.verdict("token_header") == "unknown"
    assert cc.stats.requests("business/interface") == 1
