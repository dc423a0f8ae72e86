"""Calls with made-up arguments, and the outcome of a reply to one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from requests.structures import CaseInsensitiveDict

from airflow_provider_cc.api import directory, gateway, isales, management
from airflow_provider_cc.api.protocol import Call, Reply, understand

GUID = "3f1c1d5e-0000-4000-8000-00000000c0de.AgentGateway1"
PASSWORD = "S3cret-pass"

CALLS: dict[str, Call[Any]] = {
    "tokenByAkSk": management.token("key", PASSWORD, 3600),
    "queryAgentInfoByAccount": management.query_agent_info("Agents"),
    "queryAgentLoginParams": management.query_agent_login_params("ls120201", PASSWORD),
    "agentAccount/query": directory.query_page(0, 100),
    "agentAccount/query of one": directory.query_account("Agents"),
    "config/login": gateway.config_login(101, PASSWORD),
    "logininfo": gateway.query_login_info(4711),
    "onlineagent": gateway.agent_sign_in(4711, PASSWORD, "88880001"),
    "forcelogin": gateway.agent_sign_in(4711, PASSWORD, "88880001", force=True),
    "agentevent": gateway.agent_events(4711),
    "logout": gateway.agent_sign_out(4711),
    "auth/login": isales.login("user", PASSWORD),
    "auth/refresh": isales.refresh("refresh-token"),
    "any of CC-Management": management.any_management_call("POST", "/apiaccess/any", {}),
    "any of CC-Gateway": gateway.any_gateway_call("GET", "config/any"),
    "any of CC-iSales": isales.any_isales_call("POST", "business/any"),
}
SIGN_INS = ["tokenByAkSk", "config/login", "onlineagent", "forcelogin", "auth/login", "auth/refresh"]
OTHERS = [name for name in CALLS if name not in SIGN_INS]


def answer(
    call: Call[Any] | str,
    body: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    secrets: tuple[str, ...] = (),
) -> Any:
    """What a call makes of a reply; a body that is neither bytes nor text is sent as JSON."""
    call = CALLS[call] if isinstance(call, str) else call
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    return understand(call, Reply(status, CaseInsensitiveDict(headers or {}), body), secrets)


def sent(call: Call[Any]) -> Any:
    """The JSON body of a call."""
    assert call.body is not None
    return json.loads(call.body)
