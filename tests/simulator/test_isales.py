"""CC-iSales: log-in, refresh and a business call."""

from __future__ import annotations

import pytest

BASE = "/rest/isales/v1/openapi/obs/"


def tokens(reply):
    assert reply.status_code == 200
    data = reply.json()["resultData"]
    return data["token"], data["refreshToken"]


@pytest.mark.parametrize(
    "body",
    [
        {"user": "u"},
        {"passwd": "p"},
        {"user": 1, "passwd": "p"},
        {"user": "u", "passwd": ""},
        {"user": "u", "password": "p"},
        [],
    ],
)
def test_a_bad_login_is_400(client, body):
    assert client.isales_login(json=body).status_code == 400
    assert client.cc.stats.refused("isales") == 0


def test_the_content_type_is_optional_but_must_be_json(client):
    body = b'{"user": "u", "passwd": "p"}'
    assert client.isales_login(json=None, data=body).status_code == 403
    headers = {"Content-Type": "text/plain"}
    assert client.isales_login(json=None, data=body, headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "auth/login", 400),
        ("PUT", "auth/refresh", 400),
        ("GET", "business/tasks", 400),
        ("POST", "auth/Login", 404),
        ("POST", "auth", 404),
    ],
)
def test_a_wrong_method_or_path_is_refused(client, method, path, status):
    assert client.send(method, BASE + path, json={}).status_code == status


def test_wrong_credentials_are_refused_with_the_status_set(client):
    wrong = {"user": "u", "passwd": "p"}
    for refused, status in enumerate((401, 403), start=1):
        client.cc.settings.refused_status = status
        assert client.isales_login(json=wrong).status_code == status
        assert client.cc.stats.refused("isales") == refused
    client.cc.settings.refused_status = 200
    reply = client.isales_login(json=wrong)
    assert (reply.status_code, reply.json()["result"], reply.json()["resultData"]) == (200, 1, None)


def test_what_business_calls_carry_is_a_setting(client):
    client.cc.settings.isales_header = "Authorization"
    client.cc.settings.isales_token_kind = "refreshToken"
    token, refresh_token = tokens(client.isales_login())
    accepted = [
        (name, value)
        for name in ("Authentication", "Authorization")
        for value in (token, refresh_token)
        if client.isales_tasks(name, f"Bearer {value}").status_code == 200
    ]
    assert accepted == [("Authorization", refresh_token)]
    assert client.isales_tasks("Authorization", refresh_token).status_code == 401
    reply = client.isales_tasks("Authorization", f"Bearer {refresh_token}").json()
    assert reply["result"] == 0
    assert reply["resultData"]["taskId"]


def test_a_refresh_replaces_both_tokens(client):
    token, refresh_token = tokens(client.isales_login())
    new_token, new_refresh_token = tokens(client.isales_refresh(refresh_token))
    assert len({token, refresh_token, new_token, new_refresh_token}) == 4
    assert client.isales_tasks("Authentication", f"Bearer {new_token}").status_code == 200
    assert client.isales_refresh(refresh_token).status_code == 401
    assert client.cc.stats.sign_ins("isales") == 1
    assert client.cc.stats.requests("auth/refresh") == 2


def test_a_refresh_wants_the_refresh_token_in_header_and_body(client):
    token, refresh_token = tokens(client.isales_login())
    for headers in (
        {},
        {"Authentication": refresh_token},
        {"Authentication": f"Bearer {token}"},
        {"Authorization": f"Bearer {refresh_token}"},
    ):
        assert client.isales_refresh(refresh_token, headers=headers).status_code == 401
    assert client.isales_refresh(token).status_code == 401
    assert client.isales_refresh(refresh_token).status_code == 200


def test_errors_repeat_credentials_only_when_set(client):
    wrong = {"user": "u", "passwd": "leak-word"}
    assert "leak-word" not in client.isales_login(json=wrong).text
    client.cc.settings.echo_secrets = True
    assert "leak-word" in client.isales_login(json=wrong).text
    assert "leak-word" in client.isales_tasks("Authentication", "Bearer leak-word").text
