"""Airflow masks no secret of less than five characters, so nothing may depend on its masker."""

from __future__ import annotations

import itertools
import json

import pytest

from airflow_provider_cc.api import gateway, isales, management
from airflow_provider_cc.api.text import clean
from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.hooks import agent as agent_module
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.api.support import answer
from tests.hooks.support import CLIENTS, PLAIN, TOKEN, http, info, read_request
from tests.hooks.test_secrecy import ACCOUNT, ask_everything

SHORT = ["§", "Q7", "zQ9", "Zß7!"]
SAYS = "says the server"

CALLS = {
    "tokenByAkSk": lambda secret: management.token("key", secret, 600),
    "queryAgentInfoByAccount": lambda secret: management.query_agent_info("Agents", "user", secret),
    "queryAgentLoginParams": lambda secret: management.query_agent_login_params("a", secret),
    "config/login": lambda secret: gateway.config_login(101, secret),
    "onlineagent": lambda secret: gateway.agent_sign_in(4711, secret, "8"),
    "auth/login": lambda secret: isales.login("user", secret),
    "auth/refresh": isales.refresh,
}
CODES = ("returnCode", "resultCode", "retcode", "result")
#: Every place where a server's words end in a message.
PLACES = {
    **{
        field: (200, lambda said, field=field: {**dict.fromkeys(CODES, "9"), field: said})
        for field in ("description", "message", "msg", "resultMessage", "resultDesc")
    },
    "code": (200, lambda said: dict.fromkeys(CODES, said)),
    "key": (200, lambda said: {said: 1}),
    "value": (200, lambda said: {**dict.fromkeys(CODES, "0"), "data": said, "results": said, "result": said}),
    "HTTP 400": (400, lambda said: {"message": said}),
    "HTTP 401": (401, lambda said: {"message": said}),
    "HTTP 403": (403, lambda said: {"message": said}),
    "HTTP 500": (500, lambda said: {"message": said}),
    "HTTP 503": (503, lambda said: {"message": said}),
    "no JSON": (200, lambda said: said),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_text_that_repeats_a_short_secret_is_not_shown_at_all(place):
    status, reply = PLACES[place]
    for name, secret in itertools.product(CALLS, SHORT):
        body = json.dumps(reply(f"{secret} is wrong, {SAYS}"), ensure_ascii=False)
        with pytest.raises(CCError) as failure:
            answer(CALLS[name](secret), body, status, {"Content-Type": f"text/{secret} {SAYS}"})
        said = f"{failure.value} {failure.value.args}"
        assert secret not in said, name
        assert SAYS not in said, name  # a gap would tell what was cut out


@pytest.mark.parametrize("name", CALLS)
def test_a_text_that_does_not_repeat_it_is(name):
    with pytest.raises(CCError, match=SAYS):
        answer(CALLS[name]("Q7"), {**dict.fromkeys(CODES, "9"), "message": SAYS}, 403)


@pytest.mark.parametrize("secret", ["1", "0", "100", "004", "-"])
def test_a_code_of_the_manual_is_shown_whatever_the_secret(secret):
    with pytest.raises(CCError) as failure:
        answer(gateway.config_login(101, secret), {"retcode": "100-004", "message": f"not {secret}"})
    assert (failure.value.code, failure.value.text) == ("100-004", "***")


def test_five_characters_are_cut_out_and_the_rest_is_shown():
    assert clean("not 12345, sorry", ("12345",)) == "not ***, sorry"
    assert clean("not 1234, sorry", ("1234",)) == "***"


@pytest.mark.parametrize("secret", ["S3cret-pass", "Zß7!&", "§"])
def test_a_secret_where_a_long_text_is_cut_leaves_no_beginning(secret):
    for before in range(9_980, 10_020):
        said = clean("\u200b" * before + secret, (secret,))
        assert said == "***" or not said


@pytest.fixture
def short(start, connect):
    """A contact center all of whose passwords are short, and which repeats them in its texts."""
    cc = start(
        app_secret="zß9", user_password="qß8", admin_password="Qß7", isales_password="Zß6", echo_secrets=True
    )
    cc.change_agent(ACCOUNT, password="kß5", agent_password="Kß4")
    for conn_id, connection in cc.connections().items():
        connect(conn_id, connection)
    return cc


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("status", [200, 403])
def test_none_is_said_by_any_method_of_any_hook(short, logged, monkeypatch, refused, status):
    monkeypatch.setattr(agent_module, "POLL_EVERY", 0.01)
    short.settings.event_poll, short.settings.refused_status = 0.01, status
    if refused:
        short.faults.refuse_sign_ins = {"management", "gateway", "agent", "isales"}
    said = []
    ask_everything(short, said)
    text = f"{logged.text()}\n{said}"
    assert "Signed in" in text or refused
    assert [secret for secret in ("zß9", "qß8", "Qß7", "Zß6", "kß5", "Kß4") if secret in text] == []


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_a_short_token_is_not_said_either(serve, connect, ask, logged):
    def handle(connection):
        while request := read_request(connection):
            signs_in = TOKEN.encode() in request
            reply = {"AccessToken": "~Q^"} if signs_in else {"returnCode": "7", "message": f"no ~Q^, {SAYS}"}
            connection.sendall(http(json.dumps(reply).encode()))

    connect("cc_management_default", PLAIN, port=serve(handle).port)
    with pytest.raises(CCError) as failure:
        ask(CCManagementHook(), info())
    said = f"{failure.value!r} {failure.value} {logged.text()}"
    assert "~Q^" not in said
    assert SAYS not in said
