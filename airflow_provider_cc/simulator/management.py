"""CC-Management: tokenByAkSk, queryAgentInfoByAccount, queryAgentLoginParams and the directory."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from airflow_provider_cc.simulator.directory import DirectoryLines
from airflow_provider_cc.simulator.exchange import (
    BadField,
    Call,
    Refused,
    Reply,
    Route,
    encode,
    http_failure,
    integer_field,
    json_reply,
    text_field,
)
from airflow_provider_cc.simulator.site import Sessions, Site

LONGEST_TOKEN_LIFE = 3600
_BEARER = "Bearer "
_TOKEN_FIELDS = frozenset({"app_key", "app_secret"})
_INFO_FIELDS = frozenset({"accountCode", "username", "password"})
_PARAMS_FIELDS = frozenset({"account", "password"})
_DIRECTORY_FIELDS = frozenset({"userAccount", "pageNum", "pageSize", "agentType", "transparentDisplayFlag"})
_HIGHEST = 2**31 - 1


class Management:
    """The interfaces below https://<domain>/apiaccess, and the token interface."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tokens = Sessions()
        self._lines = DirectoryLines(site)
        #: Called with the page number before a directory page is put together.
        self.on_directory_page: Callable[[int], object] | None = None
        self._routes = {
            "/apigovernance/api/oauth/tokenByAkSk": Route("tokenByAkSk", "POST", self._token),
            # As in the manual, the prefixes differ between interfaces.
            "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount": Route(
                "queryAgentInfoByAccount", "POST", self._agent_info
            ),
            "/apiaccess/CC-Management/v1/queryAgentLoginParams": Route(
                "queryAgentLoginParams", "POST", self._login_params
            ),
            "/apiaccess/rest/cc-management/v1/agentAccount/query": Route(
                "agentAccount/query", "POST", self._directory
            ),
            # The vendor's spelling.
            "/apiaccess/CC-Mangemant/v1/queryAgentInfo": Route("queryAgentInfo", "GET", self._all_agents),
        }

    def find_route(self, path: str) -> Route | None:
        """Return the route of a path, in the spelling of the settings."""
        match self._site.settings.paths:
            case "lower_case":
                return next((route for known, route in self._routes.items() if known.lower() == path), None)
            case "without_rest":
                return next(
                    (route for known, route in self._routes.items() if known.replace("/rest/", "/") == path),
                    None,
                )
        return self._routes.get(path)

    def expire_sessions(self) -> None:
        """End all tokens."""
        self._tokens.clear()

    def _token(self, call: Call) -> Reply:
        self._check_headers(call, content_type_required=True)
        fields = call.fields(_TOKEN_FIELDS)
        key, secret = text_field(fields, "app_key", 100), text_field(fields, "app_secret", 256)
        site, settings = self._site, self._site.settings
        lifetime = min(self._lifetime_asked_for(call), settings.token_lifetime)
        accepted = (key, secret) == (settings.app_key, settings.app_secret) and not site.refuses("management")
        site.statistics.count_sign_in("management", accepted=accepted)
        if not accepted:
            text = site.blame("app key or app secret is wrong", f"{key}/{secret}")
            if settings.refused_status == 200:
                return json_reply({"resultCode": "1", "resultDesc": text})
            return http_failure(settings.refused_status, text)
        if settings.new_token_cancels_old:
            self._tokens.clear()
        token = site.issue(secrets.token_hex(20))
        self._tokens.open(token, lifetime, call.cookie)
        return json_reply(
            {
                "AccessToken": token,
                "ApplyType": "Bearer",
                "CreateTime": str(int(time.time() + settings.clock_ahead)),
                "Expires": str(lifetime * {"seconds": 1, "milliseconds": 1000}[settings.expires_in]),
                "Scope": "default",
                "AppKey": key,
                "UserID": "1",
            }
        )

    @staticmethod
    def _lifetime_asked_for(call: Call) -> int:
        asked = call.headers.get("X-Token-Expire")
        if asked is None:
            return LONGEST_TOKEN_LIFE
        if not (asked.isascii() and asked.isdecimal() and 1 <= int(asked) <= LONGEST_TOKEN_LIFE):
            raise BadField(f"X-Token-Expire is not a number of seconds up to {LONGEST_TOKEN_LIFE}")
        return int(asked)

    def _agent_info(self, call: Call) -> Reply:
        self._check_headers(call)
        fields = call.fields(_INFO_FIELDS)
        account = text_field(fields, "accountCode", 64)
        if "username" in fields or "password" in fields:
            self._check_user(text_field(fields, "username", 64), text_field(fields, "password", 64))
            if "Authorization" in call.headers:
                self._check_token(call)
        else:
            self._check_token(call)
        call.account = account
        agent = self._site.find(account)
        if agent is None:
            code = self._site.settings.missing_account_code
            text = "query success" if code == "0" else "the account does not exist"
            return json_reply({"returnCode": code, "data": {"workNo": ""}, "description": text})
        status = agent.agent_status
        return Reply(
            200,
            b'{"returnCode":"0","data":{"workNo":%d,"agentType":%d,"agentStatus":%b},'
            b'"description":"query success"}' % (agent.agent_id, agent.agent_type, encode(status)),
        )

    def _login_params(self, call: Call) -> Reply:
        self._check_headers(call)
        fields = call.fields(_PARAMS_FIELDS)
        account, password = text_field(fields, "account", 100), text_field(fields, "password", 100)
        self._check_token(call)
        call.account = account
        agent = self._site.find(account)
        if agent is None or agent.password != password or self._site.refuses("agent"):
            text = self._site.blame("verify Account or password failed.", password)
            return json_reply({"returnCode": "1", "message": text})
        if agent.locked:
            return json_reply({"returnCode": "1", "message": "the account is locked."})
        results: dict[str, Any] = {
            "sipServerInfo": self._site.settings.sip_servers,
            "password": agent.agent_password,
            "sipAccount": agent.softphone_number,
            "workNo": str(agent.agent_id),
        }
        if agent.sip_password:
            results["sipPwd"] = agent.sip_password
        message = "verify Account or password success."
        return json_reply({"returnCode": "0", "results": results, "message": message})

    def _directory(self, call: Call) -> Reply:
        self._check_headers(call)
        fields = call.fields(_DIRECTORY_FIELDS)
        self._check_token(call)
        # "When userAccount is transferred, other input parameters are invalid."
        if "userAccount" in fields:
            account = call.account = text_field(fields, "userAccount", 64)
            rows, total = self._lines.of(account)
        else:
            number = integer_field(fields, "pageNum", 0, _HIGHEST)
            size = integer_field(fields, "pageSize", 1, _HIGHEST)
            types = self._types(fields)
            settings = self._site.settings
            too_long = size > settings.max_page_size and settings.larger_pages == "refused"
            if too_long or (number < settings.first_page and settings.page_zero == "refused"):
                return json_reply({"resultCode": "1", "resultMessage": f"no page {number} of {size}"}, 500)
            if self.on_directory_page is not None:
                self.on_directory_page(number)
            rows, total = self._lines.page(number, size, types)
        omitted = self._site.settings.directory_omits
        for row in rows if omitted else ():
            for name in omitted:
                row.pop(name, None)
        reply = {
            "data": rows,
            "total": total,
            "resultCode": "0",
            "resultMessage": "get agent account info success",
        }
        return json_reply({name: value for name, value in reply.items() if name not in omitted})

    def _all_agents(self, call: Call) -> Reply:
        """Return all agents at once, with plain-text passwords and without a code."""
        self._check_headers(call)
        self._check_token(call)
        agents, _ = self._site.population.page(0, _HIGHEST)
        listed = [
            {
                "workNo": str(agent.agent_id),
                "sipAccount": agent.softphone_number,
                "sipPwd": agent.sip_password,
                "accountCode": agent.account,
            }
            for agent in agents
        ]
        server = self._site.settings.sip_servers[0]
        place = {name: server[name] for name in ("sipServiceIp", "sipServicePort")}
        return json_reply({**place, "agents": listed})

    @staticmethod
    def _types(fields: dict[str, Any]) -> list[int] | None:
        types = fields.get("agentType")
        if types is None:
            return None
        if not isinstance(types, list) or not all(type(item) is int for item in types):
            raise BadField("agentType is not an array of integers")
        return types or None

    def _check_headers(self, call: Call, *, content_type_required: bool = False) -> None:
        content_type = call.content_type()
        if content_type.partition(";")[0] != "application/json" and (content_type or content_type_required):
            raise BadField("Content-Type is not application/json")
        tenant_space = self._site.settings.tenant_space_id
        if tenant_space is not None and call.headers.get("X-TenantSpaceID") != tenant_space:
            raise BadField("X-TenantSpaceID is missing or wrong")

    def _check_user(self, name: str, password: str) -> None:
        settings = self._site.settings
        if (name, password) != (settings.user_name, settings.user_password):
            text = self._site.blame("authentication fails", f"{name}/{password}")
            raise Refused(http_failure(403, text))

    def _check_token(self, call: Call) -> None:
        authorization = call.headers.get("Authorization", "")
        token = authorization[len(_BEARER) :]
        app_key = call.headers.get("X-APP-Key", self._site.settings.app_key)
        if (
            not authorization.startswith(_BEARER)
            or not self._tokens.valid(token, call.cookie)
            or app_key != self._site.settings.app_key
        ):
            text = self._site.blame("the token is missing, wrong or expired", authorization)
            raise Refused(http_failure(self._site.settings.expired_status, text))
