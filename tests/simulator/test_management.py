"""CC-Management accepts what the manual says and nothing else."""

from __future__ import annotations

import time

import pytest

from airflow_provider_cc.simulator import Settings

INFO = "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount"
PARAMS = "/apiaccess/CC-Management/v1/queryAgentLoginParams"
ALL_AGENTS = "/apiaccess/CC-Mangemant/v1/queryAgentInfo"
DIRECTORY = "/apiaccess/rest/cc-management/v1/agentAccount/query"
TOKEN = "/apigovernance/api/oauth/tokenByAkSk"


def test_a_token_says_how_long_it_lives_in_text(client):
    before = int(time.time())
    reply = client.ask_token(headers={"X-Token-Expire": "600"}).json()
    assert reply["ApplyType"] == "Bearer"
    assert reply["Expires"] == "600"
    assert isinstance(reply["CreateTime"], str)
    assert before <= int(reply["CreateTime"]) <= time.time()
    assert reply["AppKey"] == client.cc.settings.app_key
    assert "expires_in" not in reply


def test_the_longest_token_life_is_an_hour_or_the_setting(client):
    assert client.ask_token().json()["Expires"] == "3600"
    client.cc.settings.token_lifetime = 30
    assert client.ask_token(headers={"X-Token-Expire": "600"}).json()["Expires"] == "30"


@pytest.mark.parametrize("asked", ["3601", "0", "-1", "ten", "", "1.5", "\u0661"])
def test_an_impossible_token_life_is_refused(client, asked):
    reply = client.ask_token(headers={"X-Token-Expire": asked.encode()})
    assert reply.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"app_key": "k"},
        {"app_key": "", "app_secret": "s"},
        {"app_key": 1, "app_secret": "s"},
        {"appKey": "k", "app_secret": "s"},
        {"app_key": "k", "app_secret": "s", "more": 1},
        ["app_key", "app_secret"],
    ],
)
def test_a_bad_token_request_is_400(client, body):
    assert client.ask_token(json=body).status_code == 400
    assert client.cc.stats.refused("management") == 0


def test_a_token_request_must_be_json(client):
    form = {"app_key": client.cc.settings.app_key, "app_secret": client.cc.settings.app_secret}
    assert client.send("POST", TOKEN, data=form).status_code == 400
    assert client.send("POST", TOKEN, data=b"{}").status_code == 400
    json_type = {"Content-Type": "application/json"}
    assert client.send("POST", TOKEN, data=b"{", headers=json_type).status_code == 400


def test_a_wrong_secret_is_refused_with_the_status_set(client):
    wrong = {"app_key": client.cc.settings.app_key, "app_secret": "wrong"}
    for refused, status in enumerate((401, 403, 200), start=1):
        client.cc.settings.refused_status = status
        reply = client.ask_token(json=wrong)
        assert reply.status_code == status
        assert "AccessToken" not in reply.text
        assert client.cc.stats.refused("management") == refused
    assert client.cc.stats.sign_ins("management") == 0


@pytest.mark.parametrize(
    "path",
    [
        INFO.lower(),
        INFO + "/",
        INFO.replace("/rest", ""),
        PARAMS.replace("/apiaccess", "/apiaccess/rest"),
        PARAMS.replace("CC-Management", "cc-management"),
        DIRECTORY.replace("cc-management", "CC-Management"),
        "/" + INFO,
        "/",
    ],
)
def test_a_wrong_path_or_letter_case_is_404(client, path):
    assert client.send("POST", path, json={}, headers=client.bearer()).status_code == 404
    assert client.cc.stats.requests("unknown") == 1


@pytest.mark.parametrize("path", [INFO, PARAMS, DIRECTORY, TOKEN])
def test_a_wrong_method_is_400(client, path):
    assert client.send("GET", path, json={}).status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (INFO, {"accountCode": "agent000000"}),
        (PARAMS, {"account": "agent000000", "password": "x"}),
        (DIRECTORY, {"userAccount": "agent000000"}),
    ],
)
def test_a_missing_or_malformed_token_is_401(client, path, body):
    right = client.bearer()["Authorization"]
    for headers in (
        {},
        {"Authorization": right.removeprefix("Bearer ")},
        {"Authorization": right.replace("Bearer ", "Bearer")},
        {"Authorization": right.replace("Bearer", "bearer")},
        {"Authorization": right + "x"},
        {"Authorization": "Basic abc"},
    ):
        status = client.send("POST", path, json=body, headers=headers).status_code
        assert (headers, status) == (headers, 401)


def test_the_app_key_header_is_optional_but_must_be_right(client):
    headers = client.bearer()
    right, wrong = ({**headers, "X-APP-Key": key} for key in (client.cc.settings.app_key, "other"))
    assert client.info({"accountCode": "agent000000"}, right).status_code == 200
    assert client.info({"accountCode": "agent000000"}, wrong).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"accountCode": ""},
        {"accountCode": 42},
        {"accountCode": None},
        {"accountCode": ["agent000000"]},
        {"accountCode": "a" * 65},
        {"AccountCode": "agent000000"},
        {"accountCode": "agent000000", "user": "x"},
        {"accountCode": "agent000000", "username": "x"},
        {"accountCode": "agent000000", "password": "x"},
        {"accountCode": "agent000000", "username": "u" * 65, "password": "x"},
        "agent000000",
    ],
)
def test_a_bad_account_query_is_400(client, body):
    assert client.info(body).status_code == 400


def test_an_account_code_of_64_characters_is_accepted(client):
    client.cc.add_agent("ü" * 64, agent_id=5)
    assert client.info({"accountCode": "ü" * 64}).json()["data"]["workNo"] == 5


def test_a_body_of_another_type_is_400(client):
    headers = {**client.bearer(), "Content-Type": "text/plain"}
    reply = client.send("POST", INFO, data='{"accountCode": "agent000000"}', headers=headers)
    assert reply.status_code == 400


def test_the_wrong_user_is_403_even_with_a_token(client):
    body = {"accountCode": "agent000000", "username": client.cc.settings.user_name, "password": "wrong"}
    assert client.info(body, headers={}).status_code == 403
    assert client.info(body).status_code == 403


def test_an_account_that_does_not_exist(client):
    reply = client.info({"accountCode": "nobody"}).json()
    assert (reply["returnCode"], reply["data"]["workNo"]) == ("0", "")
    client.cc.settings.missing_account_code = "1"
    reply = client.info({"accountCode": "nobody"}).json()
    assert (reply["returnCode"], reply["data"]["workNo"]) == ("1", "")


@pytest.mark.parametrize(
    "body",
    [
        {"account": "agent000000"},
        {"password": "x"},
        {"account": "agent000000", "password": 5},
        {"account": "a" * 101, "password": "x"},
        {"account": "agent000000", "password": "x" * 101},
        {"accountCode": "agent000000", "password": "x"},
    ],
)
def test_a_bad_login_params_query_is_400(client, body):
    assert client.params(body).status_code == 400


def test_login_params_hold_text_and_both_passwords(client):
    agent = client.cc.agent("agent000003")
    results = client.params({"account": agent.account, "password": agent.password}).json()["results"]
    assert results["workNo"] == str(agent.agent_id)
    assert results["sipAccount"] == agent.softphone_number
    assert results["password"] == agent.agent_password != agent.password
    assert results["sipPwd"] == agent.sip_password
    assert {"node", "type"} <= results["sipServerInfo"][1].keys()
    assert "node" not in results["sipServerInfo"][0]


def test_login_params_of_a_wrong_password_an_unknown_and_a_locked_account_fail(client):
    client.cc.lock_agent("agent000001")
    right = {account: client.cc.agent(account).password for account in ("agent000000", "agent000001")}
    for account, password in (
        ("agent000000", "wrong"),
        ("nobody", "x"),
        ("agent000001", right["agent000001"]),
    ):
        reply = client.params({"account": account, "password": password})
        assert (reply.status_code, reply.json()["returnCode"]) == (200, "1")
        assert "results" not in reply.json()


def test_a_tenant_space_is_demanded_on_every_call_when_set(start):
    client = start(Settings(agents=1, tenant_space_id="space-7"))
    assert client.ask_token().status_code == 400
    tenant = {"X-TenantSpaceID": "space-7"}
    token = client.ask_token(headers=tenant).json()["AccessToken"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.info({"accountCode": "agent000000"}, headers).status_code == 400
    assert client.info({"accountCode": "agent000000"}, {**headers, **tenant}).status_code == 200


def test_errors_repeat_credentials_only_when_set(client):
    wrong = {"app_key": client.cc.settings.app_key, "app_secret": "hunter-of-leaks"}
    assert "hunter-of-leaks" not in client.ask_token(json=wrong).text
    client.cc.settings.echo_secrets = True
    assert "hunter-of-leaks" in client.ask_token(json=wrong).text
    reply = client.info({"accountCode": "x"}, {"Authorization": "Bearer stale-token"})
    assert "stale-token" in reply.text
    body = {"accountCode": "x", "username": "u", "password": "user-word"}
    assert "user-word" in client.info(body, headers={}).text
    assert "sign-word" in client.params({"account": "agent000000", "password": "sign-word"}).text


def test_callers_not_on_the_allow_list_get_403_whatever_they_ask(client):
    headers = client.bearer()
    client.cc.settings.allow_listed = False
    reply = client.info({"accountCode": "agent000000"}, headers)
    assert reply.status_code == 403
    assert reply.headers["Content-Type"].startswith("text/html")
    assert client.ask_token().status_code == 403
    assert client.cc.stats.refused() == 0


def test_with_sticky_cookies_a_session_is_only_known_to_its_client(start):
    client = start(Settings(agents=1, sticky_cookie=True))
    headers = client.bearer()
    assert "CCNODE" in client.session.cookies
    reply = client.info({"accountCode": "agent000000"}, headers)
    assert reply.status_code == 200
    assert "Set-Cookie" not in reply.headers
    client.session.cookies.clear()
    assert client.info({"accountCode": "agent000000"}, headers).status_code == 401


def test_all_agents_at_once_come_with_passwords_and_without_a_code(client):
    reply = client.send("GET", ALL_AGENTS, headers=client.bearer()).json()
    agents = [client.cc.agent(account) for account in client.cc.accounts()]
    assert reply.keys() == {"sipServiceIp", "sipServicePort", "agents"}
    assert reply["agents"] == [
        {
            "workNo": str(agent.agent_id),
            "sipAccount": agent.softphone_number,
            "sipPwd": agent.sip_password,
            "accountCode": agent.account,
        }
        for agent in agents
    ]


def test_all_agents_at_once_want_a_token(client):
    assert client.send("GET", ALL_AGENTS).status_code == 401
