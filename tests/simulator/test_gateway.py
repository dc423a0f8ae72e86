"""CC-Gateway: configuration log-in, agents signing in, polling events and signing out."""

from __future__ import annotations

import re
import threading
import time

import pytest

from airflow_provider_cc.simulator import Settings

BASE = "/agentgateway/resource/"
JSON_UTF8 = {"Content-Type": "application/json; charset=UTF-8"}
SET_GUID = re.compile(r"JSESSIONID=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.AgentGateway1")
ACCOUNT = "agent000042"


def code(reply):
    assert reply.status_code == 200
    return reply.json()["retcode"]


def new_guid(reply):
    return reply.headers["Set-GUID"].removeprefix("JSESSIONID=")


@pytest.fixture
def agent(client):
    client.cc.settings.event_poll = 0.1
    return client.cc.agent(ACCOUNT)


def test_the_config_guid_opens_the_configuration(client):
    guid = client.config_login().json()["result"]["guid"]
    reply = client.vdn_agents(guid)
    assert code(reply) == "0"
    assert len(reply.json()["result"]) == 50
    assert reply.json()["result"][0]["agentId"] == client.cc.agent("agent000000").agent_id
    for wrong in (None, "", guid.upper(), f"JSESSIONID={guid}"):
        assert code(client.vdn_agents(wrong)) == "107-000"


def test_a_vdn_account_logs_in_too(client):
    settings = client.cc.settings
    reply = client.config_login({"agentId": settings.vdn_account, "password": settings.vdn_password})
    assert code(reply) == "0"


@pytest.mark.parametrize(
    "body",
    [
        {"agentId": "101", "password": "x"},
        {"agentId": 101.0, "password": "x"},
        {"agentId": True, "password": "x"},
        {"agentId": 0, "password": "x"},
        {"agentId": 2_000_000, "password": "x"},
        {"agentId": 101},
        {"password": "x"},
        {"agentId": 101, "password": 5},
        {"agentid": 101, "password": "x"},
    ],
)
def test_a_bad_config_login_is_a_parameter_error(client, body):
    assert code(client.config_login(body)) == "107-002"
    assert client.cc.stats.refused("gateway") == 0


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain; charset=UTF-8"])
def test_a_config_login_must_say_what_it_sends(client, content_type):
    assert code(client.config_login(headers={"Content-Type": content_type or ""})) == "107-002"


def test_a_wrong_password_or_number_is_refused(client):
    for body in (
        {"agentId": client.cc.settings.admin_id, "password": "wrong"},
        {"agentId": 55, "password": client.cc.settings.admin_password},
    ):
        assert code(client.config_login(body)) == "107-003"
    assert client.cc.stats.refused("gateway") == 2


@pytest.mark.parametrize(
    ("place", "in_body", "in_header"), [("body", 1, 0), ("header", 0, 1), ("both", 1, 1)]
)
def test_where_the_config_guid_comes_is_a_setting(client, place, in_body, in_header):
    client.cc.settings.config_guid_in = place
    reply = client.config_login()
    assert ("guid" in reply.json()["result"], "Guid" in reply.headers) == (in_body, in_header)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "config/login", 400),
        ("POST", "config/vdn/agents", 400),
        ("POST", "onlineagent/10043", 400),
        ("GET", "onlineagent/10043/logininfo", 400),
        ("POST", "onlineagent/10043/logout", 400),
        ("POST", "agentevent/10043", 400),
        ("POST", "config/Login", 404),
        ("POST", "onlineagent/10043/loginInfo", 404),
        ("PUT", "onlineAgent/10043", 404),
        ("PUT", "onlineagent/10043/", 404),
        ("GET", "agentevent", 404),
    ],
)
def test_a_wrong_method_or_path_is_an_http_error(client, method, path, status):
    assert client.send(method, BASE + path, headers=JSON_UTF8).status_code == status


def test_the_guid_of_a_sign_in_comes_in_a_header_only(client, agent):
    reply = client.sign_in(ACCOUNT)
    assert code(reply) == "0"
    assert SET_GUID.fullmatch(reply.headers["Set-GUID"])
    assert new_guid(reply) not in reply.text
    assert client.cc.signed_in_agents() == [agent.agent_id]
    assert client.cc.stats.sign_ins("agent") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"password": None},
        {"password": "x" * 33},
        {"phonenum": 88880001},
        {"phonenum": ""},
        {"phonenum": "8" * 25},
        {"autoanswer": "true"},
        {"releasephone": 1},
        {"agenttype": "4"},
        {"status": 2},
        {"status": "4"},
        {"phoneNum": "1"},
    ],
)
def test_a_bad_sign_in_is_a_parameter_error(client, agent, changes):
    assert code(client.sign_in(ACCOUNT, **changes)) == "000-001"
    assert client.cc.signed_in_agents() == []


def test_all_documented_options_of_a_sign_in_are_accepted(client, agent):
    options = {"autoanswer": False, "autoenteridle": True, "releasephone": False, "agenttype": 4, "status": 3}
    assert code(client.sign_in(ACCOUNT, **options)) == "0"


@pytest.mark.parametrize(("options", "status"), [({}, 4), ({"status": 3}, 3), ({"status": 5}, 5)])
def test_an_agent_signs_in_idle_busy_or_in_wrap_up(client, agent, options, status):
    with pytest.raises(KeyError):
        client.cc.status_of(agent.agent_id)
    assert code(client.sign_in(ACCOUNT, **options)) == "0"
    assert client.cc.status_of(agent.agent_id) == status


def test_an_agent_may_have_an_empty_password(client, agent):
    assert code(client.sign_in(ACCOUNT, password="")) == "100-004"
    client.cc.change_agent(ACCOUNT, agent_password="")
    assert code(client.sign_in(ACCOUNT, password="")) == "0"


@pytest.mark.parametrize("agent_id", ["100", "1000000", "abc", "１０１", "-5"])
def test_an_agent_id_out_of_range_is_a_parameter_error(client, agent_id):
    body = {"password": "x", "phonenum": "1"}
    assert (
        code(client.send("PUT", f"{BASE}onlineagent/{agent_id}", json=body, headers=JSON_UTF8)) == "000-001"
    )


def test_who_does_not_exist_has_no_right_password_or_is_locked_is_refused(client, agent):
    body = {"password": "x", "phonenum": "1"}
    assert code(client.send("PUT", f"{BASE}onlineagent/999", json=body, headers=JSON_UTF8)) == "100-001"
    assert code(client.sign_in(ACCOUNT, password="wrong")) == "100-004"
    client.cc.lock_agent(ACCOUNT)
    assert code(client.sign_in(ACCOUNT)) == "100-020"
    assert code(client.sign_in(ACCOUNT, force=True)) == "100-020"
    assert client.cc.stats.refused("agent") == 3
    client.cc.change_agent(ACCOUNT, locked=False)
    assert code(client.sign_in(ACCOUNT)) == "0"


def test_the_password_of_the_account_opens_the_platform_too(client, agent):
    assert code(client.sign_in(ACCOUNT, password=agent.password)) == "0"


def test_a_seat_is_taken_once_unless_forced(client, agent):
    guid = client.agent_guid(ACCOUNT)
    assert code(client.sign_in(ACCOUNT)) == "100-002"
    forced = client.sign_in(ACCOUNT, force=True)
    assert code(forced) == "0"
    path = f"onlineagent/{agent.agent_id}/logininfo"
    assert code(client.agent_call("POST", path, guid)) == "000-003"
    assert code(client.agent_call("POST", path, new_guid(forced))) == "0"


def test_logininfo_tells_the_number_of_the_sign_in(client, agent):
    guid = new_guid(client.sign_in(ACCOUNT, phonenum="4711"))
    reply = client.agent_call("POST", f"onlineagent/{agent.agent_id}/logininfo", guid)
    assert reply.json()["result"]["phonenum"] == "4711"


def test_logininfo_wants_a_content_type_and_no_body(client, agent):
    guid = client.agent_guid(ACCOUNT)
    path = f"{BASE}onlineagent/{agent.agent_id}/logininfo"
    assert code(client.send("POST", path, headers={"Guid": guid})) == "000-001"
    for content_type in ("application/json", "application/json; charset=latin-1"):
        headers = {"Guid": guid, "Content-Type": content_type}
        assert code(client.send("POST", path, headers=headers)) == "000-001"
    assert code(client.send("POST", path, headers={"Guid": guid, **JSON_UTF8}, data="{}")) == "000-001"
    # The blank, and the case of the character set, are a matter of taste.
    for content_type in ("application/json;charset=UTF-8", "application/json; charset=utf-8"):
        headers = {"Guid": guid, "Content-Type": content_type}
        assert code(client.send("POST", path, headers=headers)) == "0"


def test_logininfo_is_for_the_agent_itself(client, agent):
    path = f"onlineagent/{agent.agent_id}/logininfo"
    assert code(client.agent_call("POST", path, "x")) == "100-006"
    guid = client.agent_guid(ACCOUNT)
    other = client.agent_guid("agent000001")
    config = client.config_login().json()["result"]["guid"]
    for wrong in ("", other, config, f"JSESSIONID={guid}"):
        assert code(client.agent_call("POST", path, wrong)) == "000-003"
    assert code(client.agent_call("POST", path, guid)) == "0"


def test_event_polls_rotate_the_guid_in_authmode_2(client, agent):
    first = client.agent_guid(ACCOUNT)
    poll, info = f"agentevent/{agent.agent_id}", f"onlineagent/{agent.agent_id}/logininfo"
    reply = client.agent_call("GET", poll, first)
    second = new_guid(reply)
    assert second != first
    assert SET_GUID.fullmatch(reply.headers["Set-GUID"])
    assert code(client.agent_call("POST", info, first)) == "000-003"
    assert code(client.agent_call("GET", poll, first)) == "000-003"
    assert code(client.agent_call("POST", info, second)) == "0"
    assert new_guid(client.agent_call("GET", poll + "?calldata=x", second)) != second


def test_the_guid_stays_in_authmode_1(client, agent):
    client.cc.settings.authmode = 1
    guid = client.agent_guid(ACCOUNT)
    reply = client.agent_call("GET", f"agentevent/{agent.agent_id}", guid)
    assert "Set-GUID" not in reply.headers
    assert code(client.agent_call("POST", f"onlineagent/{agent.agent_id}/logininfo", guid)) == "0"


def test_the_strictest_reading_wants_a_poll_before_logininfo(client, agent):
    client.cc.settings.guid_from_poll_only = True
    info = f"onlineagent/{agent.agent_id}/logininfo"
    guid = client.agent_guid(ACCOUNT)
    assert code(client.agent_call("POST", info, guid)) == "000-003"
    guid = new_guid(client.agent_call("GET", f"agentevent/{agent.agent_id}", guid))
    assert code(client.agent_call("POST", info, guid)) == "0"


def test_a_poll_gives_the_event_at_once_or_waits(client, agent):
    client.cc.settings.event_poll = 1.5
    poll = f"agentevent/{agent.agent_id}"
    guid = client.agent_guid(ACCOUNT)
    begin = time.monotonic()
    reply = client.agent_call("GET", poll, guid)
    assert reply.json()["event"]["eventType"] == "AgentState_Ready"
    assert time.monotonic() - begin < 1.4
    begin = time.monotonic()
    reply = client.agent_call("GET", poll, new_guid(reply))
    assert (code(reply), reply.json()["event"]) == ("0", None)
    assert 1.45 < time.monotonic() - begin < 8


def test_a_second_poll_and_a_sign_out_meet_a_waiting_one(client, agent):
    client.cc.settings.event_poll = 5
    client.cc.settings.authmode = 1
    poll = f"agentevent/{agent.agent_id}"
    guid = client.agent_guid(ACCOUNT)
    client.agent_call("GET", poll, guid)
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append(client.agent_call("GET", poll, guid)))
    thread.start()
    while client.cc.stats.concurrency == 0:
        time.sleep(0.01)
    assert code(client.agent_call("GET", poll, guid)) == "000-007"
    assert code(client.agent_call("DELETE", f"onlineagent/{agent.agent_id}/logout", guid)) == "0"
    thread.join(timeout=2)
    assert code(waiting[0]) == "100-006"


def test_who_does_not_poll_is_signed_out(client, agent, clock):
    client.cc.settings.agent_timeout = 100
    poll, info = f"agentevent/{agent.agent_id}", f"onlineagent/{agent.agent_id}/logininfo"
    guid = client.agent_guid(ACCOUNT)
    for _ in range(3):
        clock.ahead += 60
        guid = new_guid(client.agent_call("GET", poll, guid))
    clock.ahead += 60
    # Only polls keep the agent: this call does not.
    assert code(client.agent_call("POST", info, guid)) == "0"
    clock.ahead += 60
    assert code(client.agent_call("POST", info, guid)) == "100-006"
    assert client.cc.signed_in_agents() == []
    assert client.cc.stats.time_outs == 1
    assert code(client.sign_in(ACCOUNT)) == "0"


def test_signing_out_frees_the_seat(client, agent):
    path = f"onlineagent/{agent.agent_id}/logout"
    assert code(client.agent_call("DELETE", path, "x")) == "100-006"
    guid = client.agent_guid(ACCOUNT)
    assert code(client.agent_call("DELETE", path, "x")) == "000-003"
    assert code(client.send("DELETE", BASE + path, headers={"Guid": guid})) == "000-001"
    assert code(client.agent_call("DELETE", path, guid)) == "0"
    assert code(client.agent_call("DELETE", path, guid)) == "100-008"
    assert client.cc.stats.sign_outs == 1
    assert client.cc.signed_in_agents() == []
    assert code(client.agent_call("POST", f"onlineagent/{agent.agent_id}/logininfo", guid)) == "100-006"
    assert code(client.sign_in(ACCOUNT)) == "0"


def test_errors_repeat_credentials_only_when_set(client, agent):
    assert "leak-word" not in client.sign_in(ACCOUNT, password="leak-word").text
    client.cc.settings.echo_secrets = True
    assert "leak-word" in client.sign_in(ACCOUNT, password="leak-word").text
    assert "leak-word" in client.config_login({"agentId": 101, "password": "leak-word"}).text
    assert "leak-word" in client.vdn_agents("leak-word").text


def test_agents_beyond_the_range_of_ids_cannot_sign_in(start):
    client = start(Settings(agents=1_000_000))
    assert code(client.sign_in("agent989998")) == "0"
    assert code(client.sign_in("agent989999")) == "000-001"
