"""CC-Gateway: configuration sign-in and interface; agents that sign in, poll events and sign out."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from functools import partial
from typing import Any

from airflow_provider_cc.simulator.exchange import (
    BadField,
    Call,
    Refused,
    Reply,
    Route,
    integer_field,
    json_reply,
    text_field,
)
from airflow_provider_cc.simulator.site import Sessions, Site

BASE = "/agentgateway/resource/"
#: Maximum number of agents that the configuration interface lists; its format is inferred and has no pages.
LISTED_AGENTS = 1000
_JSON_UTF8 = "application/json;charset=utf-8"
_LOWEST_AGENT, _HIGHEST_AGENT = 101, 999_999
#: A VDN account is the VDN ID plus 100000; on later pages of the manual also plus 1000000.
_HIGHEST_CONFIG_ID = 1_999_999
_LOGIN_FIELDS = frozenset({"agentId", "password"})
_SWITCHES = ("autoanswer", "autoenteridle", "releasephone")
_SIGN_IN_FIELDS = frozenset({"password", "phonenum", "agenttype", "status", *_SWITCHES})
#: The statuses that an agent can sign in with, and the event for each.
_BUSY, _IDLE, _WRAP_UP = 3, 4, 5
_STATUS_EVENTS = {_BUSY: "AgentState_Busy", _IDLE: "AgentState_Ready", _WRAP_UP: "AgentState_Work"}
#: Number of signed-out agents that are distinguished from those that never signed in.
_REMEMBERED_SIGN_OUTS = 10_000


class _SignedIn:
    """An agent who is signed in."""

    def __init__(self, guid: str, phone_number: str, status: int, cookie: str) -> None:
        self.guid = guid
        self.phone_number = phone_number
        self.status = status
        self.cookie = cookie
        self.last_poll = time.monotonic()
        self.has_polled = False
        self.is_polling = False
        self.events: list[dict[str, Any]] = []
        #: Set when the agent is no longer signed in, to end a poll that is waiting.
        self.over = asyncio.Event()


class Gateway:
    """The interfaces below https://<ip>:8043/agentgateway/resource."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._config_guids = Sessions()
        self._agents: dict[int, _SignedIn] = {}
        self._signed_out: dict[int, None] = {}

    def routes(self) -> dict[str, Route]:
        """Return the routes of paths without a variable part."""
        return {
            f"{BASE}config/login": Route("config/login", "POST", self._config_login),
            f"{BASE}config/vdn/agents": Route("config/vdn/agents", "GET", self._vdn_agents),
        }

    def find_route(self, call: Call) -> Route | None:
        """Return the route of a path with an agent ID."""
        if not call.path.startswith(BASE):
            return None
        match call.path[len(BASE) :].split("/"):
            case ["onlineagent", agent_id]:
                return Route("onlineagent", "PUT", partial(self._sign_in, agent_id, force=False))
            case ["onlineagent", agent_id, "forcelogin"]:
                return Route("forcelogin", "PUT", partial(self._sign_in, agent_id, force=True))
            case ["onlineagent", agent_id, "logininfo"]:
                return Route("logininfo", "POST", partial(self._login_info, agent_id))
            case ["onlineagent", agent_id, "logout"]:
                return Route("logout", "DELETE", partial(self._sign_out, agent_id))
            case ["agentevent", agent_id]:
                return Route("agentevent", "GET", partial(self._poll, agent_id))
        return None

    def signed_in(self) -> dict[int, int]:
        """Return the agents who are signed in: agent ID → status."""
        found = {agent_id: self._find(agent_id) for agent_id in tuple(self._agents)}
        return {agent_id: agent.status for agent_id, agent in found.items() if agent is not None}

    def expire_sessions(self) -> None:
        """End all configuration sessions and sign out all agents."""
        self._config_guids.clear()
        for agent_id in tuple(self._agents):
            self._end(agent_id)

    # Configuration

    def _config_login(self, call: Call) -> Reply:
        site, settings = self._site, self._site.settings
        try:
            _check_content_type(call)
            fields = call.fields(_LOGIN_FIELDS)
            number = integer_field(fields, "agentId", 1, _HIGHEST_CONFIG_ID)
            password = text_field(fields, "password", 64)
        except BadField as bad:
            raise Refused(failure("107-002", str(bad))) from None
        known = {settings.admin_id: settings.admin_password, settings.vdn_account: settings.vdn_password}
        accepted = known.get(number) == password and not site.refuses("gateway")
        site.statistics.count_sign_in("gateway", accepted=accepted)
        if not accepted:
            return failure("107-003", site.blame("agent ID or password is wrong", password))
        guid = self._new_guid()
        self._config_guids.open(guid, settings.guid_lifetime, call.cookie)
        result = {} if settings.config_guid_in == "header" else {"guid": guid}
        headers = None if settings.config_guid_in == "body" else {"Guid": guid}
        return success(result, headers)

    def _vdn_agents(self, call: Call) -> Reply:
        guid = call.headers.get("Guid", "")
        if not self._config_guids.valid(guid, call.cookie):
            return failure("107-000", self._site.blame("not logged in", guid))
        agents, _ = self._site.population.page(0, LISTED_AGENTS)
        return success([{"agentId": agent.agent_id, "agentType": agent.agent_type} for agent in agents])

    # Agents

    def _sign_in(self, agent_id_text: str, call: Call, *, force: bool) -> Reply:
        site = self._site
        agent_id = _agent_id(agent_id_text)
        _check_content_type(call)
        fields = call.fields(_SIGN_IN_FIELDS)
        password = text_field(fields, "password", 32, may_be_empty=True)
        phone_number = text_field(fields, "phonenum", 24)
        _check_options(fields)
        agent = site.population.find_id(agent_id)
        if agent is None:
            return failure("100-001", "there is no such agent")
        # The password from queryAgentLoginParams, or the account's own.
        right = password in (agent.agent_password, agent.password) and not site.refuses("agent")
        if not right or agent.locked:
            site.statistics.count_sign_in("agent", accepted=False)
            if right:
                return failure("100-020", "the agent is locked")
            return failure("100-004", site.blame("password is wrong", password))
        if self._find(agent_id) is not None:
            if not force:
                return failure("100-002", "the agent has signed in already")
            self._end(agent_id)
        site.statistics.count_sign_in("agent", accepted=True)
        status = fields.get("status", _IDLE)
        signed_in = self._agents[agent_id] = _SignedIn(self._new_guid(), phone_number, status, call.cookie)
        event = {"eventType": _STATUS_EVENTS[status], "workNo": str(agent_id), "content": None}
        signed_in.events.append(event)
        self._signed_out.pop(agent_id, None)
        result = {"workno": str(agent_id), "vdnid": 1, "mediatype": "TTT", "isForceChange": "false"}
        return success(result, _set_guid(signed_in.guid))

    def _login_info(self, agent_id_text: str, call: Call) -> Reply:
        agent_id = _agent_id(agent_id_text)
        # Required by the manual, although there is no body.
        _check_content_type(call)
        if call.body:
            raise BadField("this interface has no body")
        signed_in = self._authenticated(agent_id, call)
        settings = self._site.settings
        if settings.authmode == 2 and settings.guid_from_poll_only and not signed_in.has_polled:
            return failure("000-003", self._site.blame("the Guid is not from an event poll", signed_in.guid))
        token = self._site.issue(secrets.token_hex(16))
        return success({"phonenum": signed_in.phone_number, "phonetoken": token})

    async def _poll(self, agent_id_text: str, call: Call) -> Reply:
        agent_id = _agent_id(agent_id_text)
        signed_in = self._authenticated(agent_id, call)
        if signed_in.is_polling:
            return failure("000-007", "events of this agent are being polled already")
        signed_in.is_polling = True
        try:
            if not signed_in.events:
                async with asyncio.timeout(self._site.settings.event_poll):
                    await signed_in.over.wait()
        except TimeoutError:
            pass
        finally:
            signed_in.is_polling = False
        signed_in.last_poll = time.monotonic()
        if signed_in.over.is_set():
            return failure("100-006", "the agent has been signed out")
        headers = None
        if self._site.settings.authmode == 2:
            signed_in.guid = self._new_guid()
            headers = _set_guid(signed_in.guid)
        signed_in.has_polled = True
        event = signed_in.events.pop(0) if signed_in.events else None
        return json_reply({"message": "success", "retcode": "0", "event": event}, headers=headers)

    def _sign_out(self, agent_id_text: str, call: Call) -> Reply:
        agent_id = _agent_id(agent_id_text)
        _check_content_type(call)
        if self._find(agent_id) is None and agent_id in self._signed_out:
            return failure("100-008", "the agent has signed out already")
        self._authenticated(agent_id, call)
        self._end(agent_id)
        self._site.statistics.sign_outs += 1
        self._signed_out[agent_id] = None
        if len(self._signed_out) > _REMEMBERED_SIGN_OUTS:
            del self._signed_out[next(iter(self._signed_out))]
        return success({})

    def _authenticated(self, agent_id: int, call: Call) -> _SignedIn:
        signed_in = self._find(agent_id)
        if signed_in is None:
            raise Refused(failure("100-006", "the agent has not signed in"))
        guid = call.headers.get("Guid", "")
        if guid != signed_in.guid or call.cookie != signed_in.cookie:
            raise Refused(failure("000-003", self._site.blame("no permission", guid)))
        return signed_in

    def _find(self, agent_id: int) -> _SignedIn | None:
        """Return a signed-in agent; an agent that has not polled for too long is signed out first."""
        signed_in = self._agents.get(agent_id)
        if signed_in is None or signed_in.is_polling:
            return signed_in
        if time.monotonic() - signed_in.last_poll <= self._site.settings.agent_timeout:
            return signed_in
        self._end(agent_id)
        self._site.statistics.time_outs += 1
        return None

    def _end(self, agent_id: int) -> None:
        if (signed_in := self._agents.pop(agent_id, None)) is not None:
            signed_in.over.set()

    def _new_guid(self) -> str:
        return self._site.issue(f"{uuid.uuid4()}.AgentGateway1")


def success(result: Any, headers: dict[str, str] | None = None) -> Reply:
    """Return a reply with retcode 0."""
    return json_reply({"message": "success", "retcode": "0", "result": result}, headers=headers)


def failure(code: str, text: str) -> Reply:
    """Return a reply with another retcode; the manual lists no HTTP errors for the gateway."""
    return json_reply({"message": text, "retcode": code, "result": {}})


def _set_guid(guid: str) -> dict[str, str]:
    return {"Set-GUID": f"JSESSIONID={guid}"}


def _agent_id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and _LOWEST_AGENT <= int(text) <= _HIGHEST_AGENT):
        raise BadField(f"the agent ID is not between {_LOWEST_AGENT} and {_HIGHEST_AGENT}")
    return int(text)


def _check_content_type(call: Call) -> None:
    if call.content_type() != _JSON_UTF8:
        raise BadField("Content-Type is not application/json; charset=UTF-8")


def _check_options(fields: dict[str, Any]) -> None:
    for name in _SWITCHES:
        if not isinstance(fields.get(name, True), bool):
            raise BadField(f"{name} is not true or false")
    if "agenttype" in fields:
        integer_field(fields, "agenttype", 0, 255)
    if "status" in fields:
        integer_field(fields, "status", min(_STATUS_EVENTS), max(_STATUS_EVENTS))
