"""CC-Management: token, agent by account, sign-in result of an account, directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from airflow_provider_cc.api.protocol import (
    Call,
    Code,
    Endpoint,
    Session,
    any_call,
    lifetime_of,
    session_value,
    short_text,
    text_argument,
    whole_number,
    zero_or_refused,
)
from airflow_provider_cc.api.text import printable
from airflow_provider_cc.exceptions import CCBusinessError, CCResponseError, ErrorCode

#: Longest ``accountCode`` ("Querying Agent Information by Sign-in Account", table of the request body).
MAX_ACCOUNT_CODE = 64
#: Longest ``account`` ("Querying the Account Sign-in Result", table 2).
MAX_ACCOUNT = 100
#: Longest lifetime of a token, in seconds.
MAX_TOKEN_LIFETIME = 3600
#: Default path for requesting tokens.
TOKEN_PATH = "/apigovernance/api/oauth/tokenByAkSk"  # noqa: S105 - a path, no password


class AgentInfo(msgspec.Struct, frozen=True):
    """The agent of an account.

    :param account: sign-in account
    :param agent_id: agent ID, ``workNo`` in the manual
    :param agent_type: 4 audio, 5 multimedia, 11 video, 99 versatile, 255 idle; other numbers are possible
    :param agent_status: the manual's status, "0" by default
    """

    account: str
    agent_id: int
    agent_type: int | None
    agent_status: str


class SipServer(msgspec.Struct, frozen=True):
    """A server where a softphone registers.

    :param host: registration address
    :param port: port, as the contact center returns it
    :param node: SIP service node, if any
    :param type: "0" SIP, "1" WebRTC
    """

    host: str | None
    port: str | None
    node: str | None
    type: str


class AgentLoginParams(msgspec.Struct, frozen=True):
    """Sign-in parameters of an account, without the passwords in the reply.

    :param account: sign-in account
    :param agent_id: agent ID
    :param softphone_number: SIP softphone number
    :param sip_servers: servers where that softphone registers
    """

    account: str
    agent_id: int | None
    softphone_number: str | None
    sip_servers: tuple[SipServer, ...]


class DirectoryAgent(msgspec.Struct, frozen=True):
    """One entry of the directory, without its personal data.

    :param account: sign-in account
    :param agent_id: agent ID; ``None`` if the account is not an agent
    :param agent_type: as in :class:`AgentInfo`
    :param softphone_number: SIP softphone number, if any
    """

    account: str
    agent_id: int | None
    agent_type: int | None
    softphone_number: str | None


class DirectoryPage(msgspec.Struct, frozen=True):
    """A page of the directory.

    :param total: number of entries in the whole directory, according to this page; ``None`` in some releases
    :param agents: the entries that could be read
    :param unreadable: account (or position on the page) and failure of each entry that could not be read
    """

    total: int | None
    agents: list[DirectoryAgent]
    unreadable: list[tuple[str, CCResponseError]]


class _TokenReply(msgspec.Struct):
    token: Any = msgspec.field(name="AccessToken", default=None)
    lifetime: Any = msgspec.field(name="Expires", default=None)
    created: Any = msgspec.field(name="CreateTime", default=None)

    @property
    def code(self) -> int | None:
        """Success if there is a token, regardless of the rest of the reply."""
        return 0 if self.token else None


class _AgentInfoData(msgspec.Struct):
    workNo: Any = None
    agentType: Any = None
    agentStatus: Any = None


class _AgentInfoReply(msgspec.Struct):
    code: Code = msgspec.field(name="returnCode")
    data: _AgentInfoData | None = None


class _SipServerData(msgspec.Struct):
    sipServiceIp: Any = None
    sipServicePort: Any = None
    node: Any = None
    type: Any = None


class _LoginParamsData(msgspec.Struct):
    workNo: Any = None
    sipAccount: Any = None
    sipServerInfo: list[_SipServerData] | None = None


class _LoginParamsReply(msgspec.Struct):
    code: Code = msgspec.field(name="returnCode")
    results: _LoginParamsData | None = None


class _DirectoryRow(msgspec.Struct):
    userAccount: Any = None
    workNo: Any = None
    agentType: Any = None
    sipAccount: Any = None


class _DirectoryReply(msgspec.Struct):
    code: Code = msgspec.field(name="resultCode")
    total: Any = None
    data: list[_DirectoryRow] | None = None


# The manual does not document failures; these fields are used elsewhere in the product.
TOKEN = Endpoint(
    "tokenByAkSk",
    "POST",
    TOKEN_PATH,
    _TokenReply,
    codes=("error_code", "errorCode", "resultCode", "returnCode", "error"),
    meaning=zero_or_refused,
    signs_in=True,
)
AGENT_INFO = Endpoint(
    "queryAgentInfoByAccount",
    "POST",
    "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount",
    _AgentInfoReply,
    codes=("returnCode",),
    is_query=True,
)
LOGIN_PARAMS = Endpoint(
    "queryAgentLoginParams",
    "POST",
    "/apiaccess/CC-Management/v1/queryAgentLoginParams",
    _LoginParamsReply,
    codes=("returnCode",),
    is_query=True,
)
#: The same with a user's password instead of a session: a rejection then concerns that password.
AGENT_INFO_AS_USER = replace(AGENT_INFO, signs_in=True)
DIRECTORY = Endpoint(
    "agentAccount/query",
    "POST",
    "/apiaccess/rest/cc-management/v1/agentAccount/query",
    _DirectoryReply,
    codes=("resultCode",),
    is_query=True,
)


def token(app_key: str, app_secret: str, lifetime: int, path: str = TOKEN_PATH) -> Call[Session]:
    """Request an AccessToken ("tokenByAkSk").

    :param app_key: app key
    :param app_secret: app secret
    :param lifetime: requested lifetime in seconds, at most :data:`MAX_TOKEN_LIFETIME`
    :param path: path or URL of the interface
    """
    body = msgspec.json.encode({"app_key": app_key, "app_secret": app_secret})

    def read(reply: _TokenReply, headers: Mapping[str, str]) -> Session:
        granted = lifetime_of(reply.lifetime, reply.created)
        return Session(session_value(TOKEN.name, "AccessToken", reply.token), granted or lifetime)

    headers = {"X-Token-Expire": str(lifetime)}
    return Call(TOKEN, body, read, path, headers, secrets=(app_secret,))


def headers(
    token: str | None = None, app_key: str | None = None, tenant_space: str | None = None
) -> dict[str, str]:
    """Return the headers that sign a call, and the type of its body.

    :param token: AccessToken, if one signs the call
    :param app_key: value of ``X-APP-Key``
    :param tenant_space: value of ``X-TenantSpaceID``, which multi-tenant sites require
    """
    signed = {
        "Authorization": f"Bearer {token}" if token else None,
        "X-APP-Key": app_key if token else None,
        "X-TenantSpaceID": tenant_space,
        "Content-Type": "application/json;charset=UTF-8",
    }
    return {name: value for name, value in signed.items() if value}


def query_agent_info(
    account_code: str, username: str | None = None, password: str | None = None
) -> Call[AgentInfo]:
    """Query the agent of an account ("Querying Agent Information by Sign-in Account").

    :param account_code: sign-in account, at most 64 characters
    :param username: authenticating user, for the manual's user-name scenario
    :param password: that user's password
    :raises ValueError: the manual does not allow an argument
    """
    body = {"accountCode": text_argument("account_code", account_code, MAX_ACCOUNT_CODE)}
    if username is None and password is None:
        return Call(AGENT_INFO, msgspec.json.encode(body), _AgentInfoReader(account_code), AGENT_INFO.path)
    body["username"] = text_argument("username", username, 64)
    body["password"] = text_argument("password", password, 64)
    return Call(
        AGENT_INFO_AS_USER,
        msgspec.json.encode(body),
        _AgentInfoReader(account_code),
        AGENT_INFO.path,
        secrets=(body["password"],),
    )


class _AgentInfoReader:
    """Reads the agent of an account. A class, because 100,000 closures would cost more."""

    __slots__ = ("account",)

    def __init__(self, account: str) -> None:
        self.account = account

    def __call__(self, reply: _AgentInfoReply, headers: Mapping[str, str]) -> AgentInfo:
        data = reply.data
        if data is None:
            raise CCResponseError(
                AGENT_INFO.name, ErrorCode.UNEXPECTED_FORMAT, "success, but no data in the reply"
            )
        return AgentInfo(
            self.account,
            _agent_id(AGENT_INFO.name, data.workNo),
            whole_number(AGENT_INFO.name, "agentType", data.agentType),
            short_text(AGENT_INFO.name, "agentStatus", data.agentStatus) or "0",
        )


def _agent_id(endpoint: str, value: object) -> int:
    agent_id = whole_number(endpoint, "workNo", value)
    if agent_id is None:
        raise CCBusinessError(endpoint, ErrorCode.NO_AGENT, "the account has no agent ID: workNo is empty")
    if agent_id == 0:
        raise CCResponseError(endpoint, ErrorCode.UNEXPECTED_FORMAT, "workNo is 0, which is not an agent ID")
    return agent_id


def query_agent_login_params(account: str, password: str) -> Call[AgentLoginParams]:
    """Query an account's softphone ("Querying the Account Sign-in Result").

    :param account: sign-in account, at most 100 characters
    :param password: its sign-in password, at most 100 characters
    :raises ValueError: the manual does not allow an argument
    """
    text_argument("account", account, MAX_ACCOUNT)
    text_argument("password", password, MAX_ACCOUNT)
    body = msgspec.json.encode({"account": account, "password": password})

    def read(reply: _LoginParamsReply, headers: Mapping[str, str]) -> AgentLoginParams:
        results = reply.results
        if results is None:
            raise CCResponseError(
                LOGIN_PARAMS.name, ErrorCode.UNEXPECTED_FORMAT, "success, but no results in the reply"
            )
        return AgentLoginParams(
            account,
            _agent_id(LOGIN_PARAMS.name, results.workNo),
            short_text(LOGIN_PARAMS.name, "sipAccount", results.sipAccount),
            tuple(_sip_server(server) for server in results.sipServerInfo or ()),
        )

    return Call(LOGIN_PARAMS, body, read, LOGIN_PARAMS.path, secrets=(password,))


def rejects_password(error: CCBusinessError) -> bool:
    """Return whether an error may mean a rejected account password: one code covers all failures.

    :param error: the failure of the call
    """
    own = error.status is None and error.code not in frozenset(ErrorCode)
    return error.endpoint == LOGIN_PARAMS.name and own


def _sip_server(data: _SipServerData) -> SipServer:
    name = LOGIN_PARAMS.name
    return SipServer(
        short_text(name, "sipServiceIp", data.sipServiceIp),
        short_text(name, "sipServicePort", data.sipServicePort),
        short_text(name, "node", data.node),
        short_text(name, "type", data.type) or "0",
    )


def directory_page(total: int | None, page: int, rows: list[_DirectoryRow]) -> DirectoryPage:
    """Read the entries of a page of the directory.

    :param total: number of entries on all pages, if known
    :param page: page number, for entries that do not name their account
    :param rows: the decoded entries
    """
    agents: list[DirectoryAgent] = []
    unreadable: list[tuple[str, CCResponseError]] = []
    for place, row in enumerate(rows):
        try:
            account = short_text(DIRECTORY.name, "userAccount", row.userAccount, MAX_ACCOUNT)
            if account is None:
                raise CCResponseError(
                    DIRECTORY.name, ErrorCode.UNEXPECTED_FORMAT, "an entry has no userAccount"
                )
            agent_id = whole_number(DIRECTORY.name, "workNo", row.workNo)
            agents.append(
                DirectoryAgent(
                    account,
                    agent_id or None,
                    whole_number(DIRECTORY.name, "agentType", row.agentType),
                    short_text(DIRECTORY.name, "sipAccount", row.sipAccount),
                )
            )
        except CCResponseError as error:
            named = isinstance(row.userAccount, str) and 0 < len(row.userAccount) <= MAX_ACCOUNT
            where = printable(row.userAccount) if named else ""
            unreadable.append((where or f"(page {page}, entry {place + 1})", error))
    return DirectoryPage(total, agents, unreadable)


def any_management_call(method: str, path: str, json: Any = None) -> Call[dict[str, Any]]:
    """Call an interface that has no function of its own.

    See :func:`airflow_provider_cc.api.protocol.any_call`.

    :param method: HTTP method
    :param path: path from the domain's root
    :param json: the body
    """
    return any_call(method, path, json, "/" + path.lstrip("/"))
