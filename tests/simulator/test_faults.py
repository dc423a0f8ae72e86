"""Each switch changes what it says, while the simulator runs, and the same way every time."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_cc.simulator import Faults, Settings

INFO = "queryAgentInfoByAccount"
PATH = "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount"
ONE = {"accountCode": "agent000001"}


@pytest.fixture
def ask(client):
    """Ask for one agent, with a token from before any fault."""
    headers = client.bearer()
    return lambda body=ONE: client.info(body, headers)


def seconds(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin


def test_errors_come_at_their_rates_and_repeat(start):
    def run():
        client = start(
            Settings(agents=2, seed=5, tls=False), Faults(errors={502: 0.2, 503: 0.1}, only={INFO})
        )
        headers = client.bearer()
        statuses = [client.info(ONE, headers).status_code for _ in range(200)]
        assert client.cc.stats.statuses[502] == statuses.count(502)
        return statuses

    first = run()
    assert 20 <= first.count(502) <= 60
    assert 8 <= first.count(503) <= 35
    assert run() == first


def test_requests_above_the_rate_get_429(client, ask, clock):
    ask()
    clock.ahead += 1 - clock.monotonic() % 1  # the beginning of a window
    client.cc.faults.rate_limit = 3
    assert [ask().status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert "Retry-After" not in ask().headers
    client.cc.faults.retry_after = 2
    assert ask().headers["Retry-After"] == "2"
    clock.ahead += 1
    assert ask().status_code == 200


def test_expiring_ends_the_sessions_of_all_systems(client, ask):
    guid = client.config_login().json()["result"]["guid"]
    agent_guid = client.agent_guid("agent000001")
    agent_id = client.cc.agent("agent000001").agent_id
    data = client.isales_login().json()["resultData"]
    client.cc.expire_sessions()
    assert ask().status_code == 401
    assert client.vdn_agents(guid).json()["retcode"] == "107-000"
    reply = client.agent_call("POST", f"onlineagent/{agent_id}/logininfo", agent_guid)
    assert reply.json()["retcode"] == "100-006"
    assert client.isales_tasks("Authentication", f"Bearer {data['token']}").status_code == 401
    assert client.isales_refresh(data["refreshToken"]).status_code == 401


def test_sessions_can_end_by_themselves_again_and_again(client, ask, clock):
    client.cc.faults.expire_every = 60
    assert ask().status_code == 200
    clock.ahead += 60
    assert ask().status_code == 401
    headers = client.bearer()
    assert client.info(ONE, headers).status_code == 200
    clock.ahead += 60
    assert client.info(ONE, headers).status_code == 401


def test_error_pages_can_be_html(client, ask):
    client.cc.faults.html_errors = True
    assert ask().json()["returnCode"] == "0"
    client.cc.faults.errors = {502: 1.0}
    reply = ask()
    assert reply.status_code == 502
    assert reply.headers["Content-Type"].startswith("text/html")
    assert "<html>" in reply.text


def test_replies_can_be_empty_or_cut(client, ask):
    whole = ask().content
    client.cc.faults.truncated = 1.0
    assert ask().content == whole[: len(whole) // 2]
    client.cc.faults.truncated, client.cc.faults.empty = 0.0, 1.0
    reply = ask()
    assert (reply.status_code, reply.content) == (200, b"")
    client.cc.faults.empty = 0.5
    assert 3 <= sum(ask().content == b"" for _ in range(20)) <= 17


def test_a_connection_can_be_reset_before_the_reply(client, ask):
    client.cc.faults.reset_before = 1.0
    client.cc.faults.only = {INFO, "config/login"}
    with pytest.raises(requests.ConnectionError) as caught:
        ask()
    assert "reset" in str(caught.value).lower() or "aborted" in str(caught.value).lower()
    with pytest.raises(requests.ConnectionError):
        client.config_login()
    # What was asked for has been done all the same.
    assert client.cc.stats.sign_ins("gateway") == 1
    assert client.cc.stats.statuses[0] == 2
    client.cc.faults.reset_before = 0.0
    assert ask().status_code == 200


def test_a_connection_can_break_in_the_middle_of_the_reply(client):
    headers = {"Content-Type": "application/json", **client.bearer()}
    client.cc.faults.reset_midway = 1.0
    context = ssl.create_default_context(cafile=client.cc.ca_file)
    connection = http.client.HTTPSConnection(client.cc.host, client.cc.port, context=context, timeout=5)
    connection.request("POST", PATH, json.dumps(ONE), headers)
    reply = connection.getresponse()
    assert reply.status == 200
    announced = int(reply.headers["Content-Length"])
    with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)) as caught:
        reply.read()
    if isinstance(caught.value, http.client.IncompleteRead):
        assert len(caught.value.partial) == announced // 2
    connection.close()


def test_an_account_can_have_a_reply_of_its_own(client, ask):
    client.cc.faults.overrides = {
        "agent000001": (404, {"error": 1}),
        "agent000002": (200, "not json"),
        "agent000003": (200, b"\xff\xfe"),
        "nobody": (200, {"returnCode": 0, "data": {"workNo": "77"}}),
    }
    assert (ask().status_code, ask().json()) == (404, {"error": 1})
    assert ask({"accountCode": "agent000002"}).text == "not json"
    assert ask({"accountCode": "agent000003"}).content == b"\xff\xfe"
    assert ask({"accountCode": "nobody"}).json()["data"]["workNo"] == "77"
    assert ask({"accountCode": "agent000004"}).json()["returnCode"] == "0"
    assert client.directory({"userAccount": "agent000001"}).status_code == 404
    assert client.params({"account": "agent000001", "password": "x"}).status_code == 404
    # Who is not let in does not get that far.
    assert client.info(ONE, {}).status_code == 401


def test_types_can_vary(client, ask):
    agent = client.cc.agent("agent000001")
    client.cc.faults.vary_types = True
    body = ask().json()
    assert body["returnCode"] == 0
    assert body["data"] == {
        "workNo": str(agent.agent_id),
        "agentType": str(agent.agent_type),
        "agentStatus": int(agent.agent_status),
    }
    results = client.params({"account": agent.account, "password": agent.password}).json()["results"]
    assert results["sipAccount"] == int(agent.softphone_number)
    assert results["workNo"] == agent.agent_id
    assert client.isales_login().json()["resultData"]["tokenExpirationTime"] == "300"
    assert client.vdn_agents("x").json()["retcode"] == "107-000"
    assert client.config_login().json()["retcode"] == 0


def test_sign_ins_can_be_refused_system_by_system(client):
    agent = client.cc.agent("agent000001")
    client.cc.faults.refuse_sign_ins = {"management", "gateway", "agent", "isales"}
    assert client.ask_token().status_code == 403
    assert client.config_login().json()["retcode"] == "107-003"
    assert client.sign_in(agent.account).json()["retcode"] == "100-004"
    assert client.isales_login().status_code == 403
    assert {s: client.cc.stats.refused(s) for s in client.cc.faults.refuse_sign_ins} == dict.fromkeys(
        client.cc.faults.refuse_sign_ins, 1
    )
    client.cc.faults.refuse_sign_ins = {"agent"}
    headers = client.bearer()
    reply = client.params({"account": agent.account, "password": agent.password}, headers)
    assert reply.json()["returnCode"] == "1"
    assert client.config_login().json()["retcode"] == "0"


def test_many_at_once_wait_together(client, ask):
    client.cc.faults.latency = 0.3
    with ThreadPoolExecutor(8) as pool:
        assert seconds(lambda: list(pool.map(lambda _: ask(), range(8)))) < 1.5
    assert client.cc.stats.max_concurrency >= 6
