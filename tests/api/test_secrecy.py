"""Nothing secret in models, exceptions and texts."""

from __future__ import annotations

import copy
import html
import json
import pickle
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from airflow_provider_cc.api import gateway, isales, management
from airflow_provider_cc.api.gateway import PhoneToken
from airflow_provider_cc.api.management import AgentInfo, AgentLoginParams, DirectoryAgent, SipServer
from airflow_provider_cc.api.protocol import Session
from airflow_provider_cc.api.secret import Secret
from airflow_provider_cc.api.text import MAX_TEXT, clean
from airflow_provider_cc.exceptions import CCError
from tests.api.support import CALLS, PASSWORD, answer

NASTY = 'pä"s/s w&rd\\\n'
SECRETS = ["S3cret-pass", "x1-y2", "§§§§§", NASTY, "a" * 600, "100%-a", "*****"]


def failure_of(call, body, **more):
    with pytest.raises(CCError) as failure:
        answer(call, body, **more)
    return failure.value


# What the server says


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda secret: json.dumps(secret)[1:-1],
        lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
        lambda secret: quote(secret, safe=""),
        quote_plus,
        html.escape,
    ],
    ids=["as it is", "JSON", "JSON in Unicode", "URL", "form", "HTML"],
)
def test_a_secret_that_the_server_repeats_is_taken_out(secret, form):
    said = clean(f"wrong password: [{form(secret)}]", (secret,))
    assert said == "wrong password: [***]"


def test_a_secret_with_another_one_in_it_is_taken_out_whole():
    assert clean("abcde-abcdefgh", ("abcde", "abcdefgh")) == "***-***"


def test_a_secret_at_the_cut_leaves_no_beginning():
    said = clean("." * (MAX_TEXT - 3) + PASSWORD, (PASSWORD,))
    assert said == "." * (MAX_TEXT - 3) + "***"


def test_a_secret_broken_by_a_hidden_character_is_taken_out():
    assert clean("S3cret\u200b-\x00pass", (PASSWORD,)) == "***"


@pytest.mark.parametrize("empty", [(), ("",)])
def test_without_secrets_a_text_stays(empty):
    assert clean("as it was", empty) == "as it was"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("two\r\nlines\tand\u2028more", "two  lines and more"),
        ("\x1b[31mred\x1b[0m\x00", "[31mred[0m"),
        ("left\u202eright\u200b", "leftright"),
        ("a\ud800b", "ab"),
        ("Grüße 你好", "Grüße 你好"),
        ("x" * 501, "x" * 500),
        (None, ""),
        (7, ""),
        (["a"], ""),
    ],
)
def test_a_text_is_made_fit_to_be_shown(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize("name", CALLS)
def test_no_call_lets_its_own_secret_back_in(name):
    echo = f"refused: {PASSWORD} and refresh-token"
    body = {field: echo for field in ("returnCode", "resultCode", "retcode", "result", "message", PASSWORD)}
    further = ("Bearer-Guid", PASSWORD) if name.startswith("any") else ()
    for status in (200, 400, 401, 403, 500, 503):
        said = failure_of(name, body, status=status, secrets=further)
        secrets = [*CALLS[name].secrets, *further]
        assert not [secret for secret in secrets if secret in f"{said} {said.args}"]


@pytest.mark.parametrize("name", ["queryAgentInfoByAccount", "logininfo", "any of CC-iSales"])
@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_secrets_of_the_session_are_taken_out(name, status):
    body = {"returnCode": "1", "retcode": "1", "result": "1", "message": "no: tok-1 and tok-2"}
    said = failure_of(name, body, status=status, secrets=("tok-1", "tok-2"))
    assert said.text.endswith("no: *** and ***")


def test_a_secret_in_the_place_of_a_key_is_taken_out():
    said = failure_of("queryAgentLoginParams", {PASSWORD: 1})
    assert "keys seen: ***" in str(said)


def test_a_secret_in_the_content_type_is_taken_out():
    said = failure_of("queryAgentLoginParams", b"?", headers={"Content-Type": f"text/{PASSWORD}"})
    assert "1 bytes of text/*** (" in str(said)


@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith("any")])
def test_the_keys_of_an_unknown_envelope_are_named_and_its_values_are_not(name):
    said = str(failure_of(name, {"one": "S3cret-a", "two": {"three": "S3cret-b"}}))
    assert "S3cret" not in said
    assert name == "tokenByAkSk" or "one, two" in said


@pytest.mark.parametrize("name", CALLS)
def test_no_exception_holds_a_body(name):
    for status in (200, 400, 403, 404, 500, 502):
        said = failure_of(name, b"<html>a long page S3cret-in-a-page</html>", status=status)
        assert "S3cret-in-a-page" not in f"{said} {said!r} {vars(said)} {said.args}"
        assert said.__cause__ is None


# What is read


@pytest.mark.parametrize(
    "model", [AgentInfo, AgentLoginParams, SipServer, DirectoryAgent, management.DirectoryPage]
)
def test_a_model_has_no_field_for_a_password_or_personal_data(model):
    forbidden = ("password", "pwd", "passwd", "secret", "token", "guid", "name", "phone", "email")
    allowed = {"softphone_number"}
    fields = [field for field in model.__struct_fields__ if field not in allowed]
    assert not [field for field in fields for word in forbidden if word in field]


def test_reply_passwords_are_never_decoded():
    body = json.dumps(
        {
            "returnCode": "0",
            "results": {"workNo": "1", "password": "agent-pw", "sipPwd": "sip-pw", "agentPwd": "agent-pw"},
        }
    ).encode()
    decoded = CALLS["queryAgentLoginParams"].endpoint.decode(body)
    assert "-pw" not in repr(decoded)
    assert "-pw" not in repr(msgspec.to_builtins(decoded))


@pytest.mark.parametrize("model", [AgentInfo("a", 1, 4, "0"), DirectoryAgent("a", 1, 4, "8")])
def test_a_model_cannot_be_changed(model):
    with pytest.raises(AttributeError):
        model.agent_id = 2


def test_a_secret_shows_stars_in_every_form():
    secret = Secret("S3cret")
    assert f"{secret} {secret!r} {[secret]} {PhoneToken(101, '8', secret)}".count("***") == 4
    assert "S3cret" not in f"{secret} {secret!r} {[secret]} {PhoneToken(101, '8', secret)}"


def test_a_secret_tells_its_value_when_asked():
    assert Secret("S3cret").reveal() == "S3cret"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol):
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(PhoneToken(101, "8", Secret("S3cret")), protocol)


@pytest.mark.parametrize(
    "leave", [copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, msgspec.msgpack.encode]
)
def test_a_secret_leaves_in_no_other_way(leave):
    with pytest.raises(TypeError):
        leave(Secret("S3cret"))


def test_a_session_shows_nothing_of_itself():
    session = Session("S3cret-token", 300, "S3cret-refresh", 3600)
    assert "S3cret" not in repr(session)
    assert session.secrets == ("S3cret-token", "S3cret-refresh")


@pytest.mark.parametrize(
    "call",
    [
        management.token("k", "S3cret", 600),
        management.query_agent_info("a", "u", "S3cret"),
        management.query_agent_login_params("a", "S3cret"),
        gateway.config_login(101, "S3cret"),
        gateway.agent_sign_in(101, "S3cret", "8"),
        isales.login("u", "S3cret"),
        isales.refresh("S3cret"),
    ],
)
def test_a_call_shows_nothing_secret_of_itself(call):
    assert "S3cret" not in f"{call!r} {call.endpoint!r}"
    assert call.secrets == ("S3cret",)
