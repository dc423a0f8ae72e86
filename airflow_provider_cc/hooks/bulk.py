"""Many calls at a time, over aiohttp."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import aiohttp
import tenacity
from yarl import URL

from airflow_provider_cc.api.protocol import Call, Reply, understand
from airflow_provider_cc.compat import in_thread
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCSessionLapsed,
    CCTransientError,
)
from airflow_provider_cc.hooks import retries
from airflow_provider_cc.hooks.blocking import USER_AGENT
from airflow_provider_cc.hooks.pace import Pace
from airflow_provider_cc.hooks.sessions import Grant
from airflow_provider_cc.hooks.tracebacks import without_locals
from airflow_provider_cc.hooks.wire import (
    ACCEPT_ENCODING,
    MAX_BODY,
    Body,
    connection_failure,
    environment_proxy,
)

if TYPE_CHECKING:
    from airflow_provider_cc.hooks.base import CCHook

T = TypeVar("T")


class BulkClient:
    """Sends calls concurrently, signed with a hook's session: ``async with hook.bulk() as cc``.

    Nothing in here talks to Airflow: the connection was read before, and a sign-in runs in a thread.

    :param hook: whose connection and session to use
    """

    def __init__(self, hook: CCHook) -> None:
        self._settings = hook.settings
        self._sessions = hook.sessions
        self._cookies = hook.client.session.cookies
        self._ssl = self._settings.ssl_context()  # reads a file, and so not in the event loop
        self._pace = Pace(self._settings.requests_per_second)
        self._proxy = environment_proxy(self._settings.base_url)
        self._urls: dict[str, URL] = {}
        self._http: aiohttp.ClientSession
        #: Requests sent so far, repeated ones included, sign-ins not.
        self.requests = 0

    async def __aenter__(self) -> BulkClient:
        self._signed_by: Grant | None = None
        self._secrets: tuple[str, ...] = ()
        # unsafe: gateways are reached by address, and a load balancer's cookie comes from there too.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING},
            auto_decompress=False,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    @without_locals
    async def call(self, call: Call[T]) -> T:
        """Make a call, tried again where that may help.

        :param call: what to ask
        :raises CCError: as the hook's own calls
        """
        # The first try goes without tenacity, which costs more than the rest of a call that succeeds.
        try:
            return await self._once(call)
        except CCTransientError as error:
            if not retries.worth_another_try(error):
                raise
            wait = retries.pause(error, 1)
        await asyncio.sleep(wait)
        again = tenacity.AsyncRetrying(**retries.policy(retries.MAX_TRIES - 1))
        return await again(self._once, call)

    async def _once(self, call: Call[T]) -> T:
        if self._pace.limits:
            await self._pace.turn()
        sessions, unanswered = self._sessions, self._sessions.unanswered
        grant = sessions.fresh
        if grant is None:
            grant = await in_thread(sessions.get)(unanswered)
        try:
            try:
                result = await self._exchange(call, grant)
            except CCSessionLapsed as error:
                grant = await in_thread(sessions.renew)(grant, error, unanswered)
                result = await self._exchange(call, grant)
        except CCBusinessError as error:
            grant.note(error)
            self._pace.accepted()
            raise
        except CCAuthError as error:
            await in_thread(sessions.refused)(grant, error)
            raise
        except CCTransientError as error:
            if error.code == "HTTP 429" or error.retry_after is not None:
                self._pace.refused(error.retry_after)
            raise
        grant.worked = True
        self._pace.accepted()
        return result

    async def _exchange(self, call: Call[T], grant: Grant) -> T:
        self.requests += 1
        if grant is not self._signed_by:
            self._sign_with(grant)
        secrets = self._secrets
        url = self._urls.get(call.path)
        if url is None:
            url = self._urls[call.path] = URL(self._settings.url(call.path))
        try:
            async with self._http.request(
                call.endpoint.method,
                url,
                data=call.body,
                headers=call.headers,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                length = response.content_length
                plain = (
                    length is not None and length <= MAX_BODY and "Content-Encoding" not in response.headers
                )
                body = await (response.read() if plain else _body(call.endpoint.name, response))
                reply = Reply(response.status, response.headers, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = connection_failure(call.endpoint.name, error, self._settings)
        else:
            return understand(call, reply, secrets)
        # Raised out here, so that the library's exception, which holds the request, is not its context.
        raise failure

    def _sign_with(self, grant: Grant) -> None:
        """Sign every request from now on: for aiohttp that is cheaper than headers with each call."""
        self._signed_by = grant
        self._secrets = (*grant.secrets, self._settings.password)
        self._http.headers.update(grant.headers)
        # Its sign-in went over requests, and with it came the cookie of the node that knows the session.
        self._http.cookie_jar.update_cookies(self._cookies.get_dict(), URL(self._settings.base_url))


async def _body(name: str, response: aiohttp.ClientResponse) -> bytes:
    """Read a body whose length nobody promises, as far as it may go."""
    body = Body(name, response.headers.get("Content-Encoding"))
    async for piece in response.content.iter_chunked(65536):
        body.add(piece)
    return body.whole()
