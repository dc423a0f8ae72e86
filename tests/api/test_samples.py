"""The samples of the manual's five pages, verbatim: what is sent, and what is read from the replies."""

from __future__ import annotations

import json
import re

import pytest

from airflow_provider_cc.api import directory, gateway, isales, management
from airflow_provider_cc.api.management import AgentInfo, AgentLoginParams, SipServer
from tests.api.support import answer, sent

INFO_REPLY = (
    '{ "returnCode": "0", "data": { "workNo": 7094, "agentType": 5, "agentStatus": "0" }, '
    '"description": "query success" }'
)
PARAMS_REQUEST = """{
	"account": "ls120201",
	"password": "S*****x"
}"""
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
CONFIG_LOGIN_REPLY = (
    '{ "result": { "guid": "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.AgentGateway1" }, '
    '"message": "success", "retcode": "0" }'
)
LOGIN_INFO_REPLY = """{
        "result": {
                "phonenum": "88880001",
                "phonetoken": "XXX"
         },
        "message": "success",
        "retcode": "0"
    }"""
ISALES_REQUEST = """{
"user":"abcd",
"passwd":"123456"
}"""
ISALES_REPLY = """{
    "result":0,   // 0: success; other values: failure
        "resultData": {
            "token":"fajiofjqwioeha",
            "tokenExpirationTime":300,// Unit: second
            "refreshToken":"fajiofjqwioeha",
            "refreshExpirationTime":3600,// Unit: second
    }
    }"""


def test_query_agent_info_is_sent_as_in_the_sample():
    call = management.query_agent_info("Agents")
    assert (call.endpoint.method, call.path) == (
        "POST",
        "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount",
    )
    assert sent(call) == json.loads('{ "accountCode": "Agents" }')


def test_query_agent_info_of_a_user_is_sent_as_in_the_sample():
    call = management.query_agent_info("Agents", "itau_group", "****************")
    assert sent(call) == json.loads(
        '{ "accountCode": "Agents", "username": "itau_group", "password": "****************" }'
    )


def test_query_agent_info_reads_the_sample():
    call = management.query_agent_info("Agents")
    assert answer(call, INFO_REPLY) == AgentInfo("Agents", 7094, 5, "0")


def test_query_agent_login_params_is_sent_as_in_the_sample():
    call = management.query_agent_login_params("ls120201", "S*****x")
    assert (call.endpoint.method, call.path) == (
        "POST",
        "/apiaccess/CC-Management/v1/queryAgentLoginParams",
    )
    assert sent(call) == json.loads(PARAMS_REQUEST)


def test_query_agent_login_params_reads_the_sample():
    call = management.query_agent_login_params("ls120201", "S*****x")
    servers = (SipServer("10.10.10.11", "33", None, "0"),)
    assert answer(call, PARAMS_REPLY) == AgentLoginParams("ls120201", 1516, "88887818", servers)


def test_headers_of_cc_management_are_those_of_the_samples():
    assert management.headers("a1", "f2") == {
        "X-APP-Key": "f2",
        "Authorization": "Bearer a1",
        "Content-Type": "application/json;charset=UTF-8",
    }


def test_an_unsigned_call_to_cc_management_has_no_more_than_a_type():
    assert management.headers() == {"Content-Type": "application/json;charset=UTF-8"}


def test_config_login_is_sent_as_in_the_sample():
    call = gateway.config_login(101, "******")
    assert (call.endpoint.method, call.path) == ("POST", "/agentgateway/resource/config/login")
    assert sent(call) == json.loads('{ "agentId": 101, "password": "******" }')


def test_config_login_sends_a_json_number_for_digits_of_a_connection():
    assert type(sent(gateway.config_login("100001", "******"))["agentId"]) is int


def test_config_login_reads_the_sample():
    session = answer(gateway.config_login(101, "******"), CONFIG_LOGIN_REPLY)
    assert session.token == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.AgentGateway1"


def test_logininfo_is_sent_as_in_the_sample():
    call = gateway.query_login_info(101)
    assert (call.endpoint.method, call.path, call.body) == (
        "POST",
        "/agentgateway/resource/onlineagent/101/logininfo",
        None,
    )


def test_headers_of_cc_gateway_are_those_of_the_samples():
    guid = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.AgentGateway1"
    assert gateway.headers(guid) == {"Content-Type": "application/json; charset=UTF-8", "Guid": guid}


def test_logininfo_reads_the_sample():
    info = answer(gateway.query_login_info(101), LOGIN_INFO_REPLY)
    assert (info.agent_id, info.softphone_number, info.phone_token.reveal()) == (101, "88880001", "XXX")


def test_isales_login_is_sent_as_in_the_sample():
    call = isales.login("abcd", "123456")
    assert (call.endpoint.method, call.path) == ("POST", "/rest/isales/v1/openapi/obs/auth/login")
    assert sent(call) == json.loads(ISALES_REQUEST)


def test_headers_of_cc_isales_are_those_of_the_sample():
    assert isales.headers() == {"Content-Type": "application/json"}


@pytest.mark.parametrize("as_strings", [False, True], ids=["numbers of the sample", "strings of the table"])
def test_isales_login_reads_the_sample(as_strings):
    reply = re.sub(r"//.*", "", ISALES_REPLY).replace("3600,", "3600")  # the page explains inside the JSON
    if as_strings:
        reply = re.sub(r":(\d+)", r':"\1"', reply)
    session = answer(isales.login("abcd", "123456"), reply)
    assert (session.token, session.lifetime) == ("fajiofjqwioeha", 300)
    assert (session.refresh_token, session.refresh_lifetime) == ("fajiofjqwioeha", 3600)


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        (management.token("k", "s", 600), "POST", "/apigovernance/api/oauth/tokenByAkSk"),
        (directory.query_page(0, 9), "POST", "/apiaccess/rest/cc-management/v1/agentAccount/query"),
        (gateway.agent_sign_in(101, "p", "8"), "PUT", "/agentgateway/resource/onlineagent/101"),
        (
            gateway.agent_sign_in(101, "p", "8", force=True),
            "PUT",
            "/agentgateway/resource/onlineagent/101/forcelogin",
        ),
        (gateway.agent_events(101), "GET", "/agentgateway/resource/agentevent/101"),
        (gateway.agent_sign_out(101), "DELETE", "/agentgateway/resource/onlineagent/101/logout"),
        (isales.refresh("r"), "POST", "/rest/isales/v1/openapi/obs/auth/refresh"),
        (
            isales.any_isales_call("POST", "business/tasks"),
            "POST",
            "/rest/isales/v1/openapi/obs/business/tasks",
        ),
        (
            gateway.any_gateway_call("GET", "config/vdn/agents"),
            "GET",
            "/agentgateway/resource/config/vdn/agents",
        ),
    ],
)
def test_the_further_interfaces_have_the_documented_method_and_path(call, method, path):
    assert (call.endpoint.method, call.path) == (method, path)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (management.token("k", "s", 600), {"app_key": "k", "app_secret": "s"}),
        (directory.query_page(2, 50, [4, 5]), {"pageNum": 2, "pageSize": 50, "agentType": [4, 5]}),
        (directory.query_account("a"), {"userAccount": "a"}),
        (gateway.agent_sign_in("4711", "p", "8"), {"password": "p", "phonenum": "8", "status": 3}),
        (isales.refresh("r"), {"refreshToken": "r"}),
        (isales.any_isales_call("POST", "business/tasks"), {}),
        (management.any_management_call("POST", "/x", {"a": [1]}), {"a": [1]}),
    ],
)
def test_the_further_interfaces_get_the_documented_fields(call, body):
    assert sent(call) == body


def test_a_token_is_asked_for_with_its_lifetime_in_a_header():
    assert management.token("k", "s", 600).headers == {"X-Token-Expire": "600"}


def test_an_isales_refresh_is_signed_by_the_refresh_token():
    assert isales.refresh("r").headers == {
        "Authentication": "Bearer r",
        "Content-Type": "application/json",
    }
