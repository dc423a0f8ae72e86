"""Settings of the simulated contact center: size, credentials, lifetimes, interpretation of the manual.

Where the manual leaves a question open, or its pages disagree, there is a setting, so that a client can be
tested against every interpretation. Faults are in the module `faults`.
"""

# ruff: noqa: S105 - the secrets below are invented
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

#: SIP servers for an agent that signs in: the manual's sample, and a WebRTC node with all fields.
SIP_SERVERS: tuple[dict[str, str], ...] = (
    {"sipServiceIp": "10.10.10.11", "sipServicePort": "33", "type": "0"},
    {"sipServiceIp": "10.10.10.12", "sipServicePort": "8443", "node": "1", "type": "1"},
)


@dataclass
class Settings:
    """Settings of a simulated contact center.

    The first seven (`agents` to `certificate`) are read once, at start. All others are read at every request
    and may be changed while the simulator runs. Times and lifetimes are in seconds. The secrets are invented
    and unique, so that a test can search for leaks.

    :param agents: number of computed agents, 0 to 10,000,000; they use no memory
    :param seed: seed for agents and injected faults
    :param tls: HTTPS with a generated certificate authority; otherwise plain HTTP
    :param host: address to listen on
    :param port: port to listen on; 0 takes a free one
    :param cert_dir: folder for the certificates. A complete set in it is reused, so that connections of an
        earlier run stay valid. None: a temporary folder, removed at the end
    :param certificate: the server's certificate: signed by the authority, whose own certificate is sent only
        with ``signed_with_ca``; or self-signed, expired, or issued to another host

    :param app_key: CC-Management application key
    :param app_secret: its secret
    :param user_name: the authenticating user of queryAgentInfoByAccount's second scenario
    :param user_password: its password
    :param admin_id: administrator that may sign in to CC-Gateway's configuration interfaces
    :param admin_password: its password
    :param vdn_account: VDN account (VDN ID + 100000) that may do the same
    :param vdn_password: its password
    :param isales_user: CC-iSales user
    :param isales_password: its password
    :param tenant_space_id: if set, every CC-Management call must send it as X-TenantSpaceID

    :param token_lifetime: maximum lifetime of an AccessToken; a shorter requested one is granted
    :param expires_in: unit of `Expires` in the reply of tokenByAkSk
    :param new_token_cancels_old: a new AccessToken ends the previous one
    :param guid_lifetime: lifetime of a config Guid
    :param agent_timeout: time without an event poll after which an agent is signed out
    :param event_poll: maximum duration of an event poll
    :param isales_token_lifetime: lifetime of an iSales token
    :param isales_refresh_lifetime: lifetime of an iSales refresh token

    :param authmode: 2: every event poll replaces the agent's Guid; 1: the Guid of the sign-in stays valid
    :param guid_from_poll_only: with `authmode` 2, logininfo rejects the Guid of the sign-in, so that an event
        poll must come first (the strictest interpretation of its page)
    :param config_guid_in: place of config/login's Guid: reply body, reply header or both
    :param isales_header: request header that carries the session of iSales calls
    :param isales_token_kind: which of the two tokens the header carries

    :param paths: spelling of CC-Management's paths: as in the manual, in lower case, or without `/rest`
    :param clock_ahead: seconds by which the contact center's clock is ahead, in Date and CreateTime
    :param refused_status: status of tokenByAkSk and auth/login for wrong credentials; 200: a business code
    :param expired_status: status for a missing, wrong or expired token
    :param missing_account_code: returnCode of queryAgentInfoByAccount for an account that does not exist
    :param max_page_size: largest pageSize of the directory
    :param larger_pages: a larger pageSize is a business failure (HTTP 500), or is reduced to the largest one;
        or pages are cut but numbered as if they were not, so that no page has the entries that were cut off
    :param first_page: number of the first page
    :param page_zero: with a `first_page` of 1, page 0 is also the first page, is empty, or is refused
    :param directory_total: value of `total`: the number of entries, as a number or as text; the number of
        entries on this page; zero; or a number that grows or shrinks by one with each page requested
    :param directory_order: order of entries: always the same, another one for each page number, or another
        one for each request
    :param directory_overlap: number of entries of each page that are also on the next one
    :param directory_also: additional entries, by their position in the directory; a query for their account
        returns them
    :param directory_filter: a query for one account works, returns the whole directory, or always returns the
        first entry
    :param letter_case: whether accounts that differ only in letter case are two accounts
    :param directory_omits: fields that directory replies omit. The vendor's samples have neither `workNo` nor
        `total`; its tables have both
    :param sip_servers: sipServerInfo of queryAgentLoginParams
    :param allow_listed: False: every request gets a 403, as from an address that is not on the allow list
    :param sticky_cookie: sessions are valid only with the cookie of the first reply
    :param echo_secrets: error texts repeat the rejected credential
    :param issue: function that changes each new token and Guid, for example to mark or shorten it

    :param record: record every request (method, path, headers, JSON body) in the statistics
    :param count_accounts: count requests per account
    """

    agents: int = 1000
    seed: int = 1
    tls: bool = True
    host: str = "127.0.0.1"
    port: int = 0
    cert_dir: str | Path | None = None
    certificate: Literal["signed", "signed_with_ca", "self_signed", "expired", "other_host"] = "signed"

    app_key: str = "appkey0quartz7meadow"
    app_secret: str = "AppSecret-violet-tundra-81f0c2"
    user_name: str = "svc_query_group"
    user_password: str = "UserPass-amber-fjord-5d19"
    admin_id: int = 101
    admin_password: str = "AdminPass-cobalt-heron-77b3"
    vdn_account: int = 100001
    vdn_password: str = "VdnPass-ochre-lagoon-c40e"
    isales_user: str = "isales_obs_user"
    isales_password: str = "ISalesPass-sable-comet-2e9a"
    tenant_space_id: str | None = None

    token_lifetime: int = 3600
    expires_in: Literal["seconds", "milliseconds"] = "seconds"
    new_token_cancels_old: bool = False
    guid_lifetime: float = 1800.0
    agent_timeout: float = 120.0
    event_poll: float = 10.0
    isales_token_lifetime: int = 300
    isales_refresh_lifetime: int = 3600

    authmode: Literal[1, 2] = 2
    guid_from_poll_only: bool = False
    config_guid_in: Literal["both", "body", "header"] = "both"
    isales_header: Literal["Authentication", "Authorization"] = "Authentication"
    isales_token_kind: Literal["token", "refreshToken"] = "token"

    paths: Literal["manual", "lower_case", "without_rest"] = "manual"
    clock_ahead: float = 0.0
    refused_status: Literal[200, 401, 403] = 403
    expired_status: Literal[401, 403] = 401
    missing_account_code: Literal["0", "1"] = "0"
    max_page_size: int = 100
    larger_pages: Literal["refused", "cut", "lost"] = "refused"
    first_page: Literal[0, 1] = 0
    page_zero: Literal["first", "empty", "refused"] = "first"
    directory_total: Literal["lines", "text", "page", "zero", "growing", "shrinking"] = "lines"
    directory_order: Literal["fixed", "by_page", "by_request"] = "fixed"
    directory_overlap: int = 0
    directory_also: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    directory_filter: Literal["exact", "ignored", "first_line"] = "exact"
    letter_case: Literal["matters", "ignored"] = "matters"
    directory_omits: frozenset[str] = frozenset()
    sip_servers: tuple[dict[str, str], ...] = SIP_SERVERS
    allow_listed: bool = True
    sticky_cookie: bool = False
    echo_secrets: bool = False
    issue: Callable[[str], str] = str

    record: bool = False
    count_accounts: bool = False
