"""CC-Management: agents by account, softphones, the directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.directory import MAX_PAGE_SIZE, PAGE_SIZE, Directory, UnreadableLine
from airflow_provider_cc.api.management import AgentInfo, AgentLoginParams, DirectoryAgent
from airflow_provider_cc.api.protocol import Call, Session, number_argument
from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.exceptions import CCBusinessError, CCConfigError, CCResponseError
from airflow_provider_cc.hooks.base import CCHook
from airflow_provider_cc.hooks.lockout import Credential


class CCManagementHook(CCHook):
    """Calls CC-Management, signed with an AccessToken that is renewed when needed.

    :param cc_conn_id: connection of type ``cc_management``
    """

    conn_type = "cc_management"
    default_conn_name = "cc_management_default"
    hook_name = "CC-Management"
    credentials = {"login": "app key", "password": "app secret"}  # noqa: RUF012 - typed in the base class
    extras = ("token_lifetime", "tenant_space_id", "token_url", "page_size")

    @property
    def page_size(self) -> int:
        """Entries per page when a sync reads the directory (extra ``page_size``).

        :raises CCConfigError: the extra is not a valid number
        """
        value = self.settings.extra.get("page_size")
        try:
            return PAGE_SIZE if value in (None, "") else number_argument("page_size", value, 1, MAX_PAGE_SIZE)
        except ValueError as error:
            raise CCConfigError(f"connection {self.cc_conn_id!r}: extra {error}") from None

    @without_locals
    def query_agent_info(
        self, account_code: str, *, username: str | None = None, password: str | None = None
    ) -> AgentInfo:
        """Return the agent of a sign-in account.

        Manual: CC-Management, "Querying Agent Information by Sign-in Account" (queryAgentInfoByAccount).

        :param account_code: sign-in account, at most 64 characters
        :param username: authenticating user; the call is then not signed, and the connection needs no app key
        :param password: that user's password
        :raises ValueError: an argument that the manual does not allow
        :raises CCBusinessError: rejected, or the account has no agent ID (code ``no_agent``)
        :raises CCError: any other failure, as in :meth:`send`
        """
        call = api.query_agent_info(account_code, username, password)
        if username is None:
            return self.send(call)
        with self.lockout.guard(Credential("user", username, (password or "",))):
            return self._exchange(call, self._headers(None))

    @without_locals
    def query_agent_login_params(self, account: str, password: str) -> AgentLoginParams:
        """Return an account's softphone number and servers.

        Manual: CC-Management, "Querying the Account Sign-in Result" (queryAgentLoginParams).

        :param account: sign-in account, at most 100 characters
        :param password: its sign-in password, at most 100 characters
        :raises ValueError: an argument that the manual does not allow
        :raises CCError: any failure, as in :meth:`send`
        """
        call = api.query_agent_login_params(account, password)
        credential = Credential("account", account, (password,))
        with self.lockout.guard(credential, CCBusinessError, api.rejects_password):
            return self.send(call)

    def query_agents(
        self, *, page_size: int = 100, agent_types: Sequence[int] | None = None
    ) -> Iterator[DirectoryAgent]:
        """Iterate over the directory, page after page.

        Each distinct entry is returned once. Not every entry is an agent: see ``agent_id`` and
        ``agent_type``.

        Manual: CC-Management, agentAccount/query.

        :param page_size: entries per page; adapts if the contact center accepts fewer
        :param agent_types: only agents of these types
        :raises ValueError: a page size below 1
        :raises CCResponseError: an entry or a page cannot be read; or, at the end, entries are missing
        """
        directory = Directory(page_size, agent_types)
        while (ask := directory.next()) is not None:
            try:
                reply = self.send(ask.call)
            except (CCBusinessError, CCResponseError) as error:
                directory.refuse(ask, error)
                continue
            found = directory.take(ask, reply)
            for line in (*found.new, *(line for line, _ in (*found.changed, *found.conflicting))):
                if isinstance(line, UnreadableLine):
                    raise line.error
                yield line
        directory.check()

    @without_locals
    def call(self, path: str, *, json: Any = None, method: str = "POST") -> Any:
        """Call any other interface.

        :param path: from the domain's root, e.g. ``/apiaccess/rest/cc-management/v1/…``
        :param json: the body
        :param method: HTTP method
        :return: the whole reply of a successful call, without the values of secret fields
        """
        return self.send(api.any_management_call(method, path, json))

    def _sign_in_call(self) -> Call[Session]:
        login, password, extra = self.settings.login, self.settings.password, self.settings.extra
        longest = api.MAX_TOKEN_LIFETIME
        lifetime = number_argument("extra token_lifetime", extra.get("token_lifetime") or longest, 1, longest)
        return api.token(login, password, lifetime, extra.get("token_url") or api.TOKEN_PATH)

    def _headers(self, session: Session | None) -> Mapping[str, str]:
        login, extra = self.settings.login, self.settings.extra
        tenant = extra.get("tenant_space_id") or None
        return api.headers(
            session.token if session else None,
            self._header_text("the app key", login) if session else None,
            self._header_text("extra tenant_space_id", str(tenant)) if tenant else None,
        )
