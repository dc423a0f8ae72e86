"""Many calls at a time, over aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import aiohttp
import tenacity
from yarl import URL

from airflow_provider_cc.api.protocol import Call, Reply, Request
from airflow_provider_cc.compat import in_thread
from airflow_provider_cc.exceptions import CCBusinessError, CCTransientError
from airflow_provider_cc.hooks import retries
from airflow_provider_cc.hooks.blocking import USER_AGENT
from airflow_provider_cc.hooks.rate_limit import RateLimiter
from airflow_provider_cc.hooks.session import ActiveSession, call_flow
from airflow_provider_cc.hooks.tracebacks import without_locals
from airflow_provider_cc.hooks.wire import (
    ACCEPT_ENCODING,
    MAX_BODY,
    MAX_LINE,
    Body,
    Connector,
    connection_failure,
    environment_proxy,
)

if TYPE_CHECKING:
    from airflow_provider_cc.hooks.base import CCHook

T = TypeVar("T")

#: Replies that ask to slow down: "too many requests", and the vendor's web firewall.
_TOO_FAST = (418, 429)


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
        self._limiter = RateLimiter(self._settings.requests_per_second)
        self._proxy = environment_proxy(self._settings.base_url)
        self._url = lru_cache(256)(lambda path: URL(self._settings.url(path)))
        self._sent, self._probes_before = 0, self._sessions.probes
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> BulkClient:
        self._cookies_of: ActiveSession | None = None
        self._standing: Mapping[str, str] = {}
        self._latest: Mapping[str, str] | None = None
        # unsafe: gateways are reached by address, and a load balancer's cookie comes from there too.
        self._http = aiohttp.ClientSession(
            connector=Connector(self._ssl),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING},
            auto_decompress=False,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, repeated ones included, sign-ins not."""
        return self._sent + self._sessions.probes - self._probes_before

    @without_locals
    async def call(self, call: Call[T]) -> T:
        """Make a call, repeated where that may help.

        :param call: the call
        :raises CCError: as the hook's own calls
        """
        # The first attempt goes without tenacity, which costs more than the rest of a call that succeeds.
        try:
            return await self._make(call)
        except CCTransientError as error:
            if not retries.may_repeat(call, error):
                raise
            wait = retries.pause(error, 1)
        await asyncio.sleep(wait)
        again = tenacity.AsyncRetrying(**retries.policy(call, done=1))
        return await again(self._make, call)

    async def _make(self, call: Call[T]) -> T:
        flow = call_flow(call, self._sessions)
        step = next(flow)
        try:
            while True:
                if isinstance(step, Request):
                    step = flow.send(await self._send(step))
                else:
                    step = flow.send(await in_thread(step)())
        except StopIteration as done:
            result: T = done.value
        except CCBusinessError:
            self._limiter.accepted()
            raise
        except CCTransientError as error:
            if error.status in _TOO_FAST or error.retry_after is not None:
                self._limiter.refused(error.retry_after)
            raise
        self._limiter.accepted()
        return result

    async def _send(self, request: Request) -> Reply:
        if self._limiter.limits:
            await self._limiter.turn()
        self._sent += 1
        headers: Mapping[str, str] | None = request.headers
        if headers is self._standing:
            headers = None
        else:
            self._change_headers(request.headers)
        try:
            async with self._http.request(
                request.method,
                self._url(request.path),
                data=request.body,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
                server_hostname=self._settings.server_name,
            ) as response:
                length = response.content_length
                plain = (
                    length is not None and length <= MAX_BODY and "Content-Encoding" not in response.headers
                )
                body = await (response.read() if plain else _body(request.name, response))
                return Reply(response.status, response.headers, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = connection_failure(request.name, error, self._settings)
        # Raised out here, so that the library's exception, which holds the request, is not its context.
        raise failure

    def _change_headers(self, headers: Mapping[str, str]) -> None:
        """Send headers that come twice with every request from now on: aiohttp then has less to do.

        With a new session comes the cookie of the node that knows it: its sign-in went over requests.
        """
        if headers is self._latest:
            for name in self._standing:
                self._http.headers.pop(name, None)
            self._http.headers.update(headers)
            self._standing = headers
        self._latest = headers
        if self._sessions.current is not self._cookies_of:
            self._cookies_of = self._sessions.current
            self._http.cookie_jar.update_cookies(self._cookies.get_dict(), URL(self._settings.base_url))


async def _body(name: str, response: aiohttp.ClientResponse) -> bytes:
    """Read a body whose length nobody promises, as far as it may go."""
    body = Body(name, response.headers.get("Content-Encoding"))
    async for piece in response.content.iter_chunked(65536):
        body.add(piece)
    return body.whole()
