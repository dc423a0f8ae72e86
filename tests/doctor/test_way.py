"""The connection's fields and the way to the host: what is wrong is said before anything is sent."""

from __future__ import annotations

import pytest

from airflow_provider_cc.doctor import network
from airflow_provider_cc.doctor.diagnosis import CHECKS_OF, NoSuchConnection, diagnose
from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.simulator.certificates import provide_certificates
from tests.doctor.support import GATEWAY, ISALES, MANAGEMENT, SYSTEMS
from tests.hooks.support import proxy, unused_port


@pytest.mark.parametrize("conn_id", SYSTEMS)
def test_a_center_as_in_the_manual_is_all_right(cc, examine, conn_id):
    examined = examine(conn_id)
    assert examined.verdicts("warn", "fail", "unknown", "skipped") == []
    assert list(examined.findings) == list(CHECKS_OF[conn_id.removesuffix("_default")])
    assert "Suggested" not in examined.table + examined.report
    assert cc.stats.sign_ins() == 1


def test_missing_fields_are_named_and_nothing_is_sent(cc, reconnect, examine):
    reconnect(MANAGEMENT, login="", password="")
    examined = examine()
    assert examined.verdict("connection") == "fail"
    assert "login (" in examined.findings["connection"].private
    assert "password (" in examined.findings["connection"].private
    assert set(examined.verdicts("skipped")) == set(examined.findings) - {"connection"}
    assert cc.stats.requests() == 0


@pytest.mark.parametrize(
    ("conn_id", "changes", "word"),
    [
        (MANAGEMENT, {"extra": {"token_lifetime": 9999}}, "token_lifetime"),
        (MANAGEMENT, {"extra": {"timeout": "soon"}}, "timeout"),
        (MANAGEMENT, {"login": "two words"}, "app key"),
        (GATEWAY, {"login": "not-a-number"}, "administrator ID"),
        (ISALES, {"extra": {"token_header": "Cookie"}}, "token_header"),
    ],
)
def test_fields_that_make_no_sense(cc, reconnect, examine, conn_id, changes, word):
    reconnect(conn_id, **changes)
    examined = examine(conn_id)
    assert examined.verdict("connection") == "fail"
    assert word in examined.findings["connection"].private
    assert cc.stats.requests() == 0


def test_an_extra_that_nobody_reads(cc, reconnect, examine):
    reconnect(MANAGEMENT, extra={"tokn_lifetime": 600})
    examined = examine()
    assert examined.verdict("connection") == "warn"
    assert "tokn_lifetime" in examined.table
    assert examined.verdict("sign_in") == "ok"


def test_an_agents_connection_is_only_read(cc, examine, reconnect):
    assert examine("cc_agent_default").verdicts("ok", "skipped") == ["connection", "sign_in"]
    reconnect("cc_agent_default", login="")
    assert examine("cc_agent_default").verdict("connection") == "fail"
    assert cc.stats.requests() == 0
    assert CCAgentHook.conn_type in CHECKS_OF


@pytest.mark.parametrize("conn_id", ["no_such_connection", "cc_other"])
def test_what_is_no_connection_of_ours_is_refused(connect, conn_id):
    connect("cc_other", {"conn_type": "http", "host": "127.0.0.1"})
    with pytest.raises(NoSuchConnection, match=conn_id):
        diagnose(conn_id)


def test_a_name_that_nobody_knows(cc, reconnect, examine):
    reconnect(MANAGEMENT, host="no-such-host.invalid")
    examined = examine()
    assert examined.verdict("dns") == "fail"
    assert examined.verdict("tcp") == "skipped"
    assert cc.stats.requests() == 0


def test_a_name_that_is_known(cc, reconnect, examine):
    reconnect(MANAGEMENT, host="localhost")
    examined = examine()
    assert "127.0.0.1" in examined.findings["dns"].private
    assert examined.verdict("tls") == "ok"


def test_a_port_where_nobody_listens(cc, reconnect, examine, monkeypatch):
    monkeypatch.setitem(network.PORTS, "cc_management", ())
    with unused_port() as port:
        reconnect(MANAGEMENT, port=port)
        examined = examine()
    assert examined.verdict("tcp") == "fail"
    assert "refused" in examined.findings["tcp"].seen
    assert examined.findings["tcp"].fields == {}


def test_the_port_where_somebody_does(cc, reconnect, examine, monkeypatch):
    monkeypatch.setitem(network.PORTS, "cc_management", (cc.port,))
    with unused_port() as port:
        reconnect(MANAGEMENT, port=port)
        examined = examine()
    assert examined.verdict("tcp") == "fail"
    assert examined.findings["tcp"].fields == {"port": cc.port}
    assert f'{{"port": {cc.port}}}' in examined.table
    assert cc.stats.requests() == 0


def test_a_proxy_is_named_without_its_password(cc, examine, serve, monkeypatch):
    seen = []
    port = serve(proxy(seen)).port
    monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:ProxyPass-lilac-ibis@127.0.0.1:{port}")
    examined = examine()
    assert examined.verdict("proxy") == "warn"
    assert examined.verdict("page_numbers") == "ok"
    assert "HTTPS_PROXY" in examined.report
    assert "ProxyPass" not in examined.table + examined.report
    assert {line.split()[0] for line in seen} == {b"CONNECT"}


def test_a_proxy_that_speaks_tls_is_passed_by_whole_calls(cc, examine, serve, certificates, monkeypatch):
    seen = []
    _, certificate, key = provide_certificates(certificates)
    port = serve(proxy(seen), tls=(str(certificate), str(key))).port
    monkeypatch.setenv("HTTPS_PROXY", f"HTTPS://127.0.0.1:{port}")
    examined = examine()
    assert examined.verdict("proxy") == "warn"
    assert (examined.verdict("tcp"), examined.verdict("tls")) == ("skipped", "skipped")
    assert (examined.verdict("unauthenticated_request"), examined.verdict("page_numbers")) == ("ok", "ok")
    assert {line.split()[0] for line in seen} == {b"CONNECT"}


@pytest.mark.parametrize("address", ["socks5://u:Pr0xy-pw@127.0.0.1:1", "http://"])
def test_a_proxy_that_no_client_can_use(cc, examine, monkeypatch, address):
    monkeypatch.setenv("HTTPS_PROXY", address)
    examined = examine()
    assert examined.verdict("proxy") == "fail"
    assert "http or https proxy" in examined.findings["proxy"].advice
    assert "Pr0xy" not in examined.table + examined.report
    assert cc.stats.requests() == 0


def test_a_host_that_needs_no_proxy(cc, examine, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    examined = examine()
    assert examined.verdict("proxy") == "ok"
    assert examined.verdict("sign_in") == "ok"


def test_a_proxy_that_does_not_connect(cc, examine, monkeypatch):
    with unused_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        examined = examine()
    assert examined.verdict("proxy") == "warn"
    assert examined.verdict("tcp") == "fail"
    assert cc.stats.requests() == 0
