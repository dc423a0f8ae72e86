"""CC-Gateway's configuration: one Guid, wherever the reply puts it."""

from __future__ import annotations

import pytest

from airflow_provider_cc.exceptions import CCBusinessError
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from tests.hooks.support import VDN_AGENTS


@pytest.mark.parametrize("where", ["both", "body", "header"])
def test_the_config_guid_is_found(start, where):
    cc = start(config_guid_in=where, record=True)
    hook = CCGatewayHook()
    hook.login()
    hook.call("GET", VDN_AGENTS)
    assert cc.stats.recorded[-1].headers["Guid"] == hook.guid
    assert cc.stats.sign_ins() == 1


def test_login_signs_in_now_and_not_before(cc, gateway):
    assert gateway.guid is None
    assert cc.stats.requests() == 0
    gateway.login()
    first = gateway.guid
    gateway.login()
    assert first != gateway.guid
    assert cc.stats.sign_ins("gateway") == 2


@pytest.mark.parametrize(("method", "path"), [("GET", "/config/vdn/agents"), ("get", "config/vdn/agents")])
def test_a_call_returns_the_whole_reply(cc, gateway, method, path):
    reply = gateway.call(method, path)
    assert (reply["retcode"], len(reply["result"])) == ("0", 100)


def test_a_body_goes_along(start):
    cc = start(record=True)
    with pytest.raises(CCBusinessError, match="HTTP 404"):
        CCGatewayHook().call("POST", "config/else", json={"a": [1]})
    assert (cc.stats.recorded[-1].method, cc.stats.recorded[-1].json) == ("POST", {"a": [1]})


@pytest.mark.parametrize("account", ["vdn_account", "admin_id"])
def test_an_administrator_or_a_vdn_may_sign_in(cc, reconnect, account):
    password = cc.settings.vdn_password if account == "vdn_account" else cc.settings.admin_password
    reconnect("cc_gateway_default", login=str(getattr(cc.settings, account)), password=password)
    assert CCGatewayHook().call("GET", VDN_AGENTS)["retcode"] == "0"


def test_codes_may_come_as_numbers(cc, gateway):
    cc.faults.vary_types = True
    assert gateway.call("GET", VDN_AGENTS)["retcode"] == 0
