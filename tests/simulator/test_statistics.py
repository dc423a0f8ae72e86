"""Statistics: what was asked, what was answered, who signed in, who held how much at once."""

from __future__ import annotations

from airflow_provider_cc.simulator import Settings

ONE = {"accountCode": "agent000001"}


def test_requests_and_statuses_are_counted(client):
    stats = client.cc.stats
    headers = client.bearer()
    client.info(ONE, headers)
    client.info({}, headers)
    client.send("GET", "/nowhere")
    assert stats.requests() == 4
    assert stats.requests("queryAgentInfoByAccount") == 2
    assert stats.requests("unknown") == 1
    assert stats.requests("logininfo") == 0
    assert stats.statuses == {200: 2, 400: 1, 404: 1}
    assert stats.statuses_by_endpoint["queryAgentInfoByAccount"] == {200: 1, 400: 1}
    stats.reset()
    assert (stats.requests(), stats.statuses, stats.sign_ins()) == (0, {}, 0)


def test_sign_ins_are_counted_by_system(client):
    stats = client.cc.stats
    client.bearer()
    client.config_login()
    client.agent_guid("agent000001")
    refresh_token = client.isales_login().json()["resultData"]["refreshToken"]
    client.isales_refresh(refresh_token)
    assert {system: stats.sign_ins(system) for system in ("management", "gateway", "agent", "isales")} == {
        "management": 1,
        "gateway": 1,
        "agent": 1,
        "isales": 1,
    }
    assert (stats.sign_ins(), stats.refused()) == (4, 0)


def test_requests_are_recorded_when_set(client):
    headers = client.bearer()
    client.info(ONE, headers)
    assert client.cc.stats.recorded == []
    client.cc.settings.record = True
    client.info(ONE, headers)
    client.vdn_agents("some-guid")
    info, agents = client.cc.stats.recorded
    assert (info.endpoint, info.method, info.json) == ("queryAgentInfoByAccount", "POST", ONE)
    assert info.path == "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount"
    assert info.headers["authorization"] == headers["Authorization"]
    assert (agents.method, agents.json, agents.headers["Guid"]) == ("GET", None, "some-guid")


def test_requests_are_counted_by_account_when_set(start):
    client = start(Settings(agents=5, count_accounts=True))
    headers = client.bearer()
    client.info(ONE, headers)
    client.info(ONE, headers)
    client.directory({"userAccount": "agent000002"}, headers)
    client.info({"accountCode": "nobody"}, headers)
    client.info(ONE, {})
    assert client.cc.stats.accounts == {"agent000001": 2, "agent000002": 1, "nobody": 1}


def test_all_issued_secrets_are_known(client):
    agent = client.cc.agent("agent000001")
    token = client.ask_token().json()["AccessToken"]
    config_guid = client.config_login().json()["result"]["guid"]
    guid = client.agent_guid(agent.account)
    info = client.agent_call("POST", f"onlineagent/{agent.agent_id}/logininfo", guid).json()["result"]
    data = client.isales_login().json()["resultData"]
    issued = {token, config_guid, guid, info["phonetoken"], data["token"], data["refreshToken"]}
    assert issued <= client.cc.secrets()
    assert client.cc.settings.app_secret in client.cc.secrets()
