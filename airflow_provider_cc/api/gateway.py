"""CC-Gateway: config Guid, agent sign-in and agent Guid, softphone number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from airflow_provider_cc.api.protocol import (
    Call,
    Code,
    Endpoint,
    Meaning,
    Session,
    any_call,
    number_argument,
    session_value,
    short_text,
    text_argument,
)
from airflow_provider_cc.api.secret import Secret
from airflow_provider_cc.exceptions import CCResponseError, ErrorCode

#: Common path of all interfaces.
ROOT = "/agentgateway/resource/"
#: Range of agent IDs ("Obtaining Token Information", table 1).
AGENT_IDS = (101, 999_999)

_BUSY = {"000-004", "000-007", "100-003", "100-007", "100-021", "105-002", "105-004", "107-001", "107-005"}
_LAPSED = {"000-003", "100-006", "105-005", "105-006", "105-007", "107-000", "107-007"}
_REFUSED = {"100-004", "100-020", "107-003", "110-016"}
#: An agent's status at sign-in, so that no calls are routed to the agent.
_BUSY_STATUS = 3
#: Codes at sign-out that mean that the agent is already signed out.
_SIGNED_OUT = {"100-006", "100-008"}


def retcode_meaning(code: str) -> Meaning:
    """Return the meaning of a ``retcode``; an unknown one is a failure."""
    if code == "0":
        return Meaning.SUCCESS
    if code in _BUSY:
        return Meaning.BUSY
    if code in _LAPSED:
        return Meaning.LAPSED
    return Meaning.REFUSED if code in _REFUSED else Meaning.FAILURE


def _sign_out_meaning(code: str) -> Meaning:
    return Meaning.SUCCESS if code in _SIGNED_OUT else retcode_meaning(code)


class PhoneToken(msgspec.Struct, frozen=True):
    """The softphone that an agent signed in with.

    :param agent_id: agent ID
    :param softphone_number: softphone number of the sign-in
    :param phone_token: temporary password of that softphone; shows ``***``
    """

    agent_id: int
    softphone_number: str | None
    phone_token: Secret


class _GuidResult(msgspec.Struct):
    guid: Any = None


class _ConfigLoginReply(msgspec.Struct):
    code: Code = msgspec.field(name="retcode")
    # After a failure, the gateway sends an object, null or "".
    result: _GuidResult | str | None = None


class _LoginInfoResult(msgspec.Struct):
    phonenum: Any = None
    phonetoken: Any = None


class _LoginInfoReply(msgspec.Struct):
    code: Code = msgspec.field(name="retcode")
    result: _LoginInfoResult | None = None


class _PlainReply(msgspec.Struct):
    code: Code = msgspec.field(name="retcode")


def _endpoint(
    name: str,
    method: str,
    path: str,
    reply: type[msgspec.Struct] = _PlainReply,
    signs_in: bool = False,
    is_query: bool = False,
    longest: float = 0.0,
) -> Endpoint:
    return Endpoint(
        name, method, ROOT + path, reply, ("retcode",), retcode_meaning, signs_in, is_query, longest
    )


CONFIG_LOGIN = _endpoint("config/login", "POST", "config/login", _ConfigLoginReply, signs_in=True)
LOGIN_INFO = _endpoint(
    "logininfo", "POST", "onlineagent/{agent_id}/logininfo", _LoginInfoReply, is_query=True
)
SIGN_IN = _endpoint("onlineagent", "PUT", "onlineagent/{agent_id}", signs_in=True)
FORCE_SIGN_IN = _endpoint("forcelogin", "PUT", "onlineagent/{agent_id}/forcelogin", signs_in=True)
# A long poll: the gateway answers after an event, or after 10 s.
EVENTS = _endpoint("agentevent", "GET", "agentevent/{agent_id}", longest=10.0)
SIGN_OUT = Endpoint(
    "logout", "DELETE", ROOT + "onlineagent/{agent_id}/logout", _PlainReply, ("retcode",), _sign_out_meaning
)


def headers(guid: str | None = None) -> dict[str, str]:
    """Return the headers of a call; the manual requires a Content-Type even without a body.

    :param guid: config Guid or agent Guid
    """
    kind = {"Content-Type": "application/json; charset=UTF-8"}
    return {**kind, "Guid": guid} if guid else kind


def config_login(administrator: object, password: str) -> Call[Session]:
    """Sign in to the configuration interface ("C5 Intelligent Auxiliary Interface Authentication").

    :param administrator: administrator ID or number of a VDN account; may be a string of digits
    :param password: password of the administrator or VDN account
    :raises ValueError: a number below 1, or an empty password
    """
    number = number_argument("administrator ID or VDN account", administrator, 1)
    body = {"agentId": number, "password": text_argument("password", password, 1024)}

    def read(reply: _ConfigLoginReply, headers: Mapping[str, str]) -> Session:
        inside = reply.result.guid if isinstance(reply.result, _GuidResult) else None
        return Session(session_value(CONFIG_LOGIN.name, "guid", inside or headers.get("Guid")))

    return Call(CONFIG_LOGIN, msgspec.json.encode(body), read, CONFIG_LOGIN.path, secrets=(password,))


def query_login_info(agent_id: object) -> Call[PhoneToken]:
    """Query a signed-in agent's softphone ("Obtaining Token Information"); needs that agent's Guid.

    :param agent_id: agent ID, 101 to 999999
    :raises ValueError: any other value
    """
    number = agent_number(agent_id)

    def read(reply: _LoginInfoReply, headers: Mapping[str, str]) -> PhoneToken:
        result = reply.result
        if result is None:
            raise CCResponseError(
                LOGIN_INFO.name, ErrorCode.UNEXPECTED_FORMAT, "success, but no result in the reply"
            )
        token = result.phonetoken if isinstance(result.phonetoken, str) else ""
        return PhoneToken(number, short_text(LOGIN_INFO.name, "phonenum", result.phonenum), Secret(token))

    return Call(LOGIN_INFO, None, read, LOGIN_INFO.path.format(agent_id=number))


def agent_sign_in(agent_id: object, password: str, phone_number: str, force: bool = False) -> Call[Session]:
    """Sign an agent in as busy, so that no calls are routed to the agent. Changes a live agent's state.

    :param agent_id: agent ID, 101 to 999999
    :param password: the agent's password; may be empty
    :param phone_number: softphone number to sign in with
    :param force: sign out anyone who is signed in as this agent
    :raises ValueError: the manual does not allow an argument
    """
    endpoint = FORCE_SIGN_IN if force else SIGN_IN
    number = agent_number(agent_id)
    body = {
        "password": text_argument("password", password, 1024, least=0),
        "phonenum": text_argument("phone_number", phone_number, 64),
        "status": _BUSY_STATUS,
    }

    def read(reply: _PlainReply, headers: Mapping[str, str]) -> Session:
        return Session(session_value(endpoint.name, "Set-GUID header", new_guid(headers)))

    path = endpoint.path.format(agent_id=number)
    return Call(endpoint, msgspec.json.encode(body), read, path, secrets=(password,))


def agent_events(agent_id: int) -> Call[str | None]:
    """Poll an agent's events, which keeps the agent signed in. The result is the new Guid, if any.

    :param agent_id: agent ID
    """

    def read(reply: _PlainReply, headers: Mapping[str, str]) -> str | None:
        guid = new_guid(headers)
        return None if guid is None else session_value(EVENTS.name, "Set-GUID header", guid)

    return Call(EVENTS, None, read, EVENTS.path.format(agent_id=agent_id))


def agent_sign_out(agent_id: int) -> Call[None]:
    """Sign an agent out; succeeds if the agent is already signed out.

    :param agent_id: agent ID
    """
    return Call(SIGN_OUT, None, lambda _, __: None, SIGN_OUT.path.format(agent_id=agent_id))


def new_guid(headers: Mapping[str, str]) -> str | None:
    """Return the Guid in ``Set-GUID: JSESSIONID=<guid>``, if any.

    :param headers: a reply's headers
    """
    value = (headers.get("Set-GUID") or "").split(";")[0].strip()
    return value.removeprefix("JSESSIONID=") or None


def agent_number(agent_id: object) -> int:
    """Check an agent ID.

    :param agent_id: 101 to 999999; may be a string of digits
    :raises ValueError: any other value
    """
    return number_argument("agent_id", agent_id, *AGENT_IDS)


def any_gateway_call(method: str, path: str, json: Any = None) -> Call[dict[str, Any]]:
    """Call an interface that has no function of its own.

    See :func:`airflow_provider_cc.api.protocol.any_call`.

    :param method: HTTP method
    :param path: path below ``/agentgateway/resource/``, e.g. ``config/vdn/agents``
    :param json: the body, if any
    """
    return any_call(method, path, json, ROOT + path.lstrip("/"), retcode_meaning)
