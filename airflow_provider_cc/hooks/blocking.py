"""One call at a time, over requests."""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TypeVar

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from airflow_provider_cc.api.protocol import Call, Reply, understand
from airflow_provider_cc.exceptions import CCConfigError, CCError, CCResponseError, CCTransientError
from airflow_provider_cc.hooks.body import ACCEPT_ENCODING, Body
from airflow_provider_cc.hooks.deadline import DeadlineAdapter
from airflow_provider_cc.hooks.settings import CCSettings

T = TypeVar("T")

USER_AGENT = f"airflow-provider-cc/{version('airflow-provider-cc')}"
_UNKNOWN_AUTHORITY = "Set extra verify to the path of the CA bundle that signed it"
_OUT_OF_DATE = "Extra verify demands a valid one: renew it on the server, or look at this machine's clock"
_OTHER_HOST = "Extra verify demands one for this host: set host to a name that it is made out to"
#: By OpenSSL's codes: not yet valid, expired, another host's, another address's.
_REMEDY = {9: _OUT_OF_DATE, 10: _OUT_OF_DATE, 62: _OTHER_HOST, 64: _OTHER_HOST}
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
#: These say that the connection broke; every other exception of http.client that what came is no HTTP.
_CUT_SHORT = (http.client.RemoteDisconnected, http.client.IncompleteRead)


class _Signature(AuthBase):
    """Puts a call's headers on the request, as its credentials: without one, requests reads ``~/.netrc``."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


class BlockingClient:
    """Sends calls and reads their replies, with one kept connection and every wait bounded.

    :param settings: the connection
    """

    def __init__(self, settings: CCSettings) -> None:
        self._settings = settings
        self.session = requests.Session()
        self.session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING})
        for schema in ("https://", "http://"):
            self.session.mount(schema, DeadlineAdapter())
        if settings.verify is False:
            # Warned of once, by the hook, in words that name the setting. Not by catch_warnings around each
            # request: that is not safe in threads, and an event poll lasts for seconds.
            host = re.escape(settings.host)
            message = f"Unverified HTTPS request is being made to host '{host}'"
            warnings.filterwarnings("ignore", message, urllib3.exceptions.InsecureRequestWarning)

    def exchange(self, call: Call[T], headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> T:
        """Send a call once.

        :param call: what to ask
        :param headers: what signs it
        :param secrets: the secrets in those headers
        :raises CCError: as :func:`airflow_provider_cc.api.protocol.understand`, and for a failed connection
        """
        return understand(call, self._send(call, {**headers, **(call.headers or {})}), secrets)

    def close(self) -> None:
        """Close the kept connection."""
        self.session.close()

    def _send(self, call: Call[T], headers: Mapping[str, str]) -> Reply:
        settings, name = self._settings, call.endpoint.name
        try:
            response = self.session.request(
                call.endpoint.method,
                settings.url(call.path),
                data=call.body,
                auth=_Signature(headers),
                timeout=(settings.timeout, settings.timeout + call.endpoint.longest),
                verify=settings.verify,
                allow_redirects=False,
                stream=True,
            )
            with response:
                return Reply(response.status_code, response.headers, _body(name, response))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = connection_failure(name, error, settings)
        # Raised out here, so that the library's exception, which holds the request, is not its context.
        raise failure


def _body(name: str, response: requests.Response) -> bytes:
    body = Body(name, response.headers.get("Content-Encoding"))
    try:
        for piece in response.raw.stream(65536, decode_content=False):
            body.add(piece)
    except ValueError:  # urllib3 takes a chunk's length as it is, below zero, too
        raise no_http(name) from None
    return body.whole()


def connection_failure(endpoint: str, error: BaseException, settings: CCSettings) -> CCError:
    """Say in one exception, and in the terms of the Airflow connection, why no reply came.

    :param endpoint: what was called
    :param error: what the HTTP library raised
    :param settings: the connection
    """
    causes = list(_causes(error))
    where = f"{settings.host}:{settings.port}"
    for cause in causes:
        # aiohttp wraps it in a class that is one too, but does not say what OpenSSL found.
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_message"):
            return CCConfigError(
                f"connection {settings.conn_id!r}: the certificate of {where} is not trusted "
                f"({cause.verify_message}). {_REMEDY.get(cause.verify_code, _UNKNOWN_AUTHORITY)}"
            )
    if any(isinstance(cause, requests.exceptions.InvalidProxyURL) for cause in causes):
        return unusable_proxy()
    if any(isinstance(cause, requests.exceptions.ProxyError) for cause in causes):
        return proxy_failure(endpoint)
    if any(isinstance(cause, socket.gaierror | urllib3.exceptions.NameResolutionError) for cause in causes):
        return CCTransientError(endpoint, "dns", f"the name {settings.host} cannot be resolved")
    # Before the time-outs, which urllib3 counts it among.
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return CCTransientError(endpoint, "connect", f"{where} refuses the connection")
    if any(isinstance(cause, OSError) and cause.errno in _UNREACHABLE for cause in causes):
        return CCTransientError(endpoint, "connect", f"{where} cannot be reached")
    if any(
        isinstance(cause, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError)
        and not isinstance(cause, urllib3.exceptions.NewConnectionError)
        for cause in causes
    ):
        return CCTransientError(endpoint, "timeout", f"no answer from {where} within {settings.timeout:g} s")
    if any(isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError) for cause in causes):
        return CCTransientError(endpoint, "tls", f"no TLS connection to {where}: is schema right?")
    if any(
        isinstance(cause, urllib3.exceptions.InvalidChunkLength)
        or (isinstance(cause, http.client.HTTPException) and not isinstance(cause, _CUT_SHORT))
        for cause in causes
    ):
        return no_http(endpoint)
    if any(isinstance(cause, ValueError) for cause in causes):
        return CCConfigError(f"connection {settings.conn_id!r}: {settings.base_url} is no usable address")
    if type(error) is OSError:  # so says requests, before it connects
        return CCConfigError("the CA bundle in REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE cannot be read")
    if any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes):
        return CCTransientError(endpoint, "connect", f"{where} cannot be reached")
    return CCTransientError(endpoint, "reset", f"the connection to {where} broke ({type(error).__name__})")


def no_http(endpoint: str) -> CCResponseError:
    """Say that what came is no HTTP, or too much of it.

    :param endpoint: what was called
    """
    return CCResponseError(endpoint, "not HTTP", "the reply breaks the rules of HTTP")


def proxy_failure(endpoint: str) -> CCTransientError:
    """Say that it is not the contact centre that does not answer.

    :param endpoint: what was called
    """
    return CCTransientError(endpoint, "connect", "the proxy of the environment does not connect")


def unusable_proxy() -> CCConfigError:
    """Say that neither client can use the environment's proxy; not which it is, as it may have a password."""
    return CCConfigError(
        "the proxy of the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) must be an http or https address"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk down to where a failure began: libraries wrap it as cause, reason or argument.

    Not the context: it leads to what the caller was handling when it made this call.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, getattr(current, "reason", None), *current.args]
