"""Transport: single calls over requests, concurrent calls over aiohttp, with retries where they may help."""

from __future__ import annotations

import asyncio
import random
import re
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import requests
import urllib3.exceptions
from yarl import URL

from airflow_provider_cc.api.lenient import MAX_BODY, decompress
from airflow_provider_cc.api.protocol import Call, Reply, Request, retry_after
from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import in_thread
from airflow_provider_cc.exceptions import NOTHING_SENT, CCSignInUnavailable, CCTransientError
from airflow_provider_cc.hooks import wire
from airflow_provider_cc.hooks.connection import CCSettings
from airflow_provider_cc.hooks.rate_limit import RateLimiter
from airflow_provider_cc.hooks.session import ActiveSession, Flow, call_flow

if TYPE_CHECKING:
    from airflow_provider_cc.hooks.base import CCHook

T = TypeVar("T")

#: Attempts of one call, including the first; of a call that carries a password.
MAX_TRIES = 5
MAX_TRIES_WITH_SECRET = 2
#: Seconds after which no further attempt begins.
MAX_SECONDS = 120.0
#: Longest wait before the second attempt, in seconds; twice as long before each further one …
FIRST_BACK_OFF = 1.0
#: … up to this.
LONGEST_BACK_OFF = 20.0
#: The part of a server's Retry-After beyond this many seconds is ignored.
MAX_WAIT = 60.0

#: Headers of both clients. Other compressions are not read.
_HEADERS = {
    "User-Agent": f"airflow-provider-cc/{version('airflow-provider-cc')}",
    "Accept-Encoding": "gzip, deflate",
}
#: Replies that ask to slow down: "too many requests", and the vendor's web firewall.
_TOO_FAST = (418, 429)
#: Bytes of a body that are read at a time.
_PIECE = 65536


def wait_to_repeat(call: Call[Any], error: CCTransientError, tries: int, begun: float) -> float:
    """Return the seconds to wait before a failed call is repeated; raise the failure if it is not repeated.

    A call that carries a password is repeated only if it is certain that nothing was sent: accounts are
    locked after three wrong passwords, and a server that does not answer may have counted one.
    """
    wait = pause(error, tries)
    if (
        isinstance(error, CCSignInUnavailable)
        or (call.secrets and error.code not in NOTHING_SENT)
        or tries >= (MAX_TRIES_WITH_SECRET if call.secrets else MAX_TRIES)
        or time.monotonic() + wait >= begun + MAX_SECONDS
    ):
        raise error
    return wait


def pause(error: CCTransientError | None, tries: int) -> float:
    """Return the seconds to wait after an attempt: what the server requests, or an increasing random time."""
    asked = error.retry_after if error is not None else None
    longest = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** (tries - 1))
    own = random.uniform(longest / 20, longest)  # noqa: S311 - spreads load, guards nothing
    return own if asked is None else min(asked, MAX_WAIT) + own / 10


class BlockingClient:
    """Sends requests and reads their replies, with one kept-alive connection and a time limit for every wait.

    :param settings: the connection
    """

    def __init__(self, settings: CCSettings) -> None:
        self._settings = settings
        self.session = requests.Session()
        self.session.headers.update(_HEADERS)
        wire.mount(self.session, settings)
        if settings.verify is False:
            # The hook warns once, and names the setting. Do not use catch_warnings around each request: it is
            # not thread-safe, and an event poll lasts for seconds.
            message = f"Unverified HTTPS request is being made to host '{re.escape(settings.host)}'"
            warnings.filterwarnings("ignore", message, urllib3.exceptions.InsecureRequestWarning)

    def run(self, flow: Callable[..., Flow[T]], call: Call[T], *arguments: Any) -> T:
        """Make the requests of a call's flow, with retries where they may help."""
        begun, tries = time.monotonic(), 0
        while True:
            attempt, tries = flow(call, *arguments), tries + 1
            try:
                step = next(attempt)
                while True:
                    step = attempt.send(self.send(step) if isinstance(step, Request) else step())
            except StopIteration as end:
                result: T = end.value
                return result
            except CCTransientError as error:
                wait = wait_to_repeat(call, error, tries, begun)
            time.sleep(wait)

    def send(self, request: Request) -> Reply:
        """Send a request once, and read its reply."""
        settings = self._settings
        try:
            response = self.session.request(
                request.method,
                settings.url(request.path),
                data=request.body,
                headers=request.headers,
                auth=lambda prepared: prepared,  # without one, requests reads ~/.netrc
                timeout=(settings.timeout, settings.timeout + request.longest),
                verify=settings.verify,
                allow_redirects=False,
                stream=True,
            )
            with response:
                return Reply(response.status_code, response.headers, _body(request.name, response))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = wire.connection_failure(request.name, error, settings)
        # Raised out here, so that the library's exception, which holds the request, is not its context.
        raise failure


def _body(name: str, response: requests.Response) -> bytes:
    body = bytearray()
    try:
        for piece in response.raw.stream(_PIECE, decode_content=False):
            body += piece
            if len(body) > MAX_BODY:
                break
    except ValueError:  # urllib3 accepts any chunk length, even a negative one
        raise wire.not_http(name, "invalid chunk size") from None
    return decompress(name, bytes(body), response.headers.get("Content-Encoding"))


class _Throttled:
    """How long a rate limit held calls back: the share of calls that wait for it, summed over time.

    While all calls wait, a second counts in full; while half of them wait, it counts as half a second.
    ``with`` marks a wait.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._calls = self._waiting = 0
        self._since = 0.0

    def __enter__(self) -> None:
        self.change(waiting=1)

    def __exit__(self, *error: object) -> None:
        self.change(waiting=-1)

    def change(self, calls: int = 0, waiting: int = 0) -> None:
        """Record that calls begin or end, or that they begin or stop waiting."""
        if waiting or self._waiting:
            now = time.monotonic()
            if self._waiting:
                self.seconds += (now - self._since) * self._waiting / self._calls
            self._since = now
        self._calls += calls
        self._waiting += waiting


class BulkClient:
    """Sends calls concurrently, signed with a hook's session: ``async with hook.bulk() as cc``.

    It never calls Airflow: the connection was read before, and a sign-in runs in a thread.

    :param hook: the hook whose connection and session to use
    """

    def __init__(self, hook: CCHook) -> None:
        self._settings = hook.settings
        self._sessions = hook.sessions
        self._cookies = hook.client.session.cookies
        self._ssl = self._settings.ssl_context()  # reads a file, so it must not run in the event loop
        self._limiter = RateLimiter(self._settings.requests_per_second)
        self._throttled = _Throttled()
        self._proxy = wire.environment_proxy(self._settings.base_url)
        self._url = lru_cache(256)(lambda path: URL(self._settings.url(path)))
        #: Requests by endpoint. Not a Counter, which is twice as slow.
        self.sent: defaultdict[str, int] = defaultdict(int)
        #: Requests without an answer, by endpoint and HTTP status or :class:`ErrorCode`.
        self.failed: Counter[tuple[str, str]] = Counter()
        #: Attempts beyond a call's first.
        self.retries = 0
        self._probes_before = self._sessions.probes
        #: The headers that aiohttp adds to every request, and the session whose cookies it sends.
        self._headers: Mapping[str, str] = {}
        self._active: ActiveSession | None = None
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> BulkClient:
        # unsafe: accept cookies from addresses, since gateways are reached by address.
        self._http = aiohttp.ClientSession(
            connector=wire.Connector(self._ssl),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            headers=_HEADERS,
            auto_decompress=False,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            max_line_size=wire.MAX_LINE,
            max_field_size=wire.MAX_LINE,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, including retries but not sign-ins."""
        return sum(self.sent.values()) + self._sessions.probes - self._probes_before

    @property
    def throttled_seconds(self) -> float:
        """Seconds so far for which a rate limit, of the contact center or the connection, held calls back."""
        return self._throttled.seconds

    @without_locals
    async def call(self, call: Call[T]) -> T:
        """Make a call, with retries where they may help.

        :param call: the call
        :raises CCError: as for the hook's own calls
        """
        self._throttled.change(calls=1)
        try:
            return await self._repeat(call)
        finally:
            self._throttled.change(calls=-1)

    async def _repeat(self, call: Call[T]) -> T:
        begun, tries = time.monotonic(), 0
        while True:
            attempt, tries = call_flow(call, self._sessions), tries + 1
            try:
                step = next(attempt)
                while True:
                    if isinstance(step, Request):
                        step = attempt.send(await self._send(step))
                    else:
                        await self._turn()  # it may sign in, which is not repeated after a 429
                        step = attempt.send(await in_thread(step)())
            except StopIteration as end:
                result: T = end.value
                return result
            except CCTransientError as error:
                wait = wait_to_repeat(call, error, tries, begun)
                refused = error.status in _TOO_FAST or error.retry_after is not None
            self.retries += 1
            with self._throttled if refused else nullcontext():
                await asyncio.sleep(wait)

    async def _turn(self) -> None:
        if self._limiter.limits:
            with self._throttled:
                await self._limiter.turn()

    async def _send(self, request: Request) -> Reply:
        await self._turn()
        self.sent[request.name] += 1
        if request.headers is not self._headers:
            self._change_headers(request.headers)
        try:
            response = await self._http.request(
                request.method,
                self._url(request.path),
                data=request.body,
                allow_redirects=False,
                proxy=self._proxy,
                server_hostname=self._settings.server_name,
            )
            headers, length = response.headers, response.content_length
            if length is not None and length <= MAX_BODY and "Content-Encoding" not in headers:
                body = await response.read()
            else:
                body = await _body_in_bulk(request.name, response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = wire.connection_failure(request.name, error, self._settings)
            self.failed[request.name, getattr(failure, "code", "config")] += 1
        else:
            if response.status >= 300:
                self.failed[request.name, str(response.status)] += 1
            if response.status in _TOO_FAST or (response.status != 200 and "Retry-After" in headers):
                self._limiter.refused(retry_after(headers.get("Retry-After")))
            else:
                self._limiter.accepted()
            return Reply(response.status, headers, body)
        # Raised out here, so that the library's exception, which holds the request, is not its context.
        raise failure

    def _change_headers(self, headers: Mapping[str, str]) -> None:
        """Let aiohttp add headers to every request, which is faster than passing them with each request.

        They change with the session. So does the load balancer's cookie, which comes with the sign-in.
        """
        for name in self._headers:
            self._http.headers.pop(name, None)
        self._http.headers.update(headers)
        self._headers = headers
        if self._sessions.current is not self._active:
            self._active = self._sessions.current
            self._http.cookie_jar.update_cookies(self._cookies.get_dict(), URL(self._settings.base_url))


async def _body_in_bulk(name: str, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async with response:
        async for piece in response.content.iter_chunked(_PIECE):
            body += piece
            if len(body) > MAX_BODY:
                break
    return decompress(name, bytes(body), response.headers.get("Content-Encoding"))
