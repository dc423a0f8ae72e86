"""The samples of the manual's five pages, verbatim: these requests must get these replies."""

from __future__ import annotations

import json
import re

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.AgentGateway1")

INFO_REQUEST = """{ "accountCode": "Agents" }"""
INFO_REPLY = """{ "returnCode": "0", "data": { "workNo": 7094, "agentType": 5, "agentStatus": "0" },
"description": "query success" }"""
PARAMS_REPLY = """{
	"returnCode": "0",
	"results": {
		"sipServerInfo": [{
			"sipServiceIp": "10.10.10.11",
			"sipServicePort": "33",
			"type": "0"
		}],
		"password": "11****8Q",
		"sipAccount": "88887818",
		"workNo": "1516"
},
	"message": "verify Account or password success."
}"""


def add_agents(client):
    client.cc.add_agent("Agents", agent_id=7094, agent_type=5, agent_status="0")
    client.cc.add_agent(
        "ls120201",
        agent_id=1516,
        softphone_number="88887818",
        password="S*****x",
        agent_password="11****8Q",
        sip_password="",
    )


def test_query_agent_info_with_a_token(client):
    add_agents(client)
    headers = {"x-app-Key": client.cc.settings.app_key, **client.bearer()}
    reply = client.send(
        "POST",
        "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount",
        data=INFO_REQUEST,
        headers=headers,
    )
    assert (reply.status_code, reply.json()) == (200, json.loads(INFO_REPLY))


def test_query_agent_info_with_user_name_and_password(client):
    add_agents(client)
    client.cc.settings.user_name, client.cc.settings.user_password = "itau_group", "****************"
    reply = client.send(
        "POST",
        "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount",
        data='{ "accountCode": "Agents", "username": "itau_group", "password": "****************" }',
        headers={"Content-Type": "application/json"},
    )
    assert (reply.status_code, reply.json()) == (200, json.loads(INFO_REPLY))


def test_query_agent_login_params(client):
    add_agents(client)
    client.cc.settings.sip_servers = client.cc.settings.sip_servers[:1]
    headers = {
        "x-app-key": client.cc.settings.app_key,
        "Content-Type": "application/json;charset=UTF-8",
        "Connection": "keep-alive",
        **client.bearer(),
    }
    reply = client.send(
        "POST",
        "/apiaccess/CC-Management/v1/queryAgentLoginParams",
        data='{\n\t"account": "ls120201",\n\t"password": "S*****x"\n}',
        headers=headers,
    )
    assert (reply.status_code, reply.json()) == (200, json.loads(PARAMS_REPLY))


def test_config_login(client):
    client.cc.settings.admin_password = "******"
    reply = client.send(
        "POST",
        "/agentgateway/resource/config/login",
        data='{ "agentId": 101, "password": "******" }',
        headers={"Content-Type": "application/json; charset=UTF-8"},
    )
    guid = reply.headers["Guid"]
    assert GUID.fullmatch(guid)
    assert reply.json() == {"result": {"guid": guid}, "message": "success", "retcode": "0"}


def test_logininfo(client):
    client.cc.add_agent("someone", agent_id=4711, softphone_number="88880001")
    guid = client.agent_guid("someone")
    reply = client.send(
        "POST",
        "/agentgateway/resource/onlineagent/4711/logininfo",
        headers={"Content-Type": "application/json; charset=UTF-8", "Guid": guid},
    )
    token = reply.json()["result"]["phonetoken"]
    assert token
    assert reply.json() == {
        "result": {"phonenum": "88880001", "phonetoken": token},
        "message": "success",
        "retcode": "0",
    }


def test_isales_login(client):
    client.cc.settings.isales_user, client.cc.settings.isales_password = "abcd", "123456"
    reply = client.send(
        "POST",
        "/rest/isales/v1/openapi/obs/auth/login",
        data='{\n"user":"abcd",\n"passwd":"123456"\n}',
        headers={"Content-Type": "application/json"},
    )
    assert reply.status_code == 200
    body = reply.json()
    data = body["resultData"]
    assert body == {
        "result": 0,
        "resultData": {
            "token": data["token"],
            "tokenExpirationTime": 300,
            "refreshToken": data["refreshToken"],
            "refreshExpirationTime": 3600,
        },
    }
    assert isinstance(data["token"], str)
    assert data["token"] != data["refreshToken"]
