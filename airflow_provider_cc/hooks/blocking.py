"""One call at a time, over requests."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TypeVar

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from airflow_provider_cc.api.protocol import Call, Reply, understand
from airflow_provider_cc.exceptions import CCConfigError, CCError, CCResponseError, CCTransientError
from airflow_provider_cc.hooks.settings import CCSettings

T = TypeVar("T")

USER_AGENT = f"airflow-provider-cc/{version('airflow-provider-cc')}"
#: No reply of the manual comes near this size, in bytes; a longer one is cut off with an error.
MAX_BODY = 16 * 1024 * 1024


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
        self.session.headers["User-Agent"] = USER_AGENT

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
            with warnings.catch_warnings():
                if settings.verify is False:  # warned of once, by the hook, in words that name the setting
                    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
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
                    return Reply(response.status_code, response.headers, self._body(name, response))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = connection_failure(name, error, settings)
        # Raised out here, so that the library's exception, which holds the request, is not its context.
        raise failure

    def _body(self, name: str, response: requests.Response) -> bytes:
        deadline = time.monotonic() + self._settings.timeout
        parts, size = [], 0
        for part in response.iter_content(65536):
            parts.append(part)
            size += len(part)
            if size > MAX_BODY:
                raise CCResponseError(name, "too long", f"the reply is longer than {MAX_BODY} bytes")
            if time.monotonic() > deadline:
                raise requests.ReadTimeout
        return b"".join(parts)


def connection_failure(endpoint: str, error: BaseException, settings: CCSettings) -> CCError:
    """Say in one exception, and in the terms of the Airflow connection, why no reply came.

    :param endpoint: what was called
    :param error: what the HTTP library raised
    :param settings: the connection
    """
    causes = list(_causes(error))
    where = f"{settings.host}:{settings.port}"
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CCConfigError(
                f"connection {settings.conn_id!r}: the certificate of {where} is not trusted "
                f"({cause.verify_message}). Set extra verify to the path of the CA bundle that signed it"
            )
        if isinstance(cause, socket.gaierror | urllib3.exceptions.NameResolutionError):
            return CCTransientError(endpoint, "dns", f"the name {settings.host} cannot be resolved")
    if any(
        isinstance(cause, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError)
        for cause in causes
    ):
        return CCTransientError(endpoint, "timeout", f"no answer from {where} within {settings.timeout:g} s")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return CCTransientError(endpoint, "connect", f"{where} refuses the connection")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return CCTransientError(endpoint, "tls", f"no TLS connection to {where}: is schema right?")
    if any(isinstance(cause, requests.exceptions.ContentDecodingError) for cause in causes):
        return CCResponseError(endpoint, "not readable", "the reply's compression is broken")
    if any(isinstance(cause, requests.exceptions.ProxyError) for cause in causes):
        return CCTransientError(endpoint, "connect", "the proxy of the environment does not connect")
    if any(isinstance(cause, ValueError) for cause in causes):
        return CCConfigError(f"connection {settings.conn_id!r}: {settings.base_url} is no usable address")
    if any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes):
        return CCTransientError(endpoint, "connect", f"{where} cannot be reached")
    return CCTransientError(endpoint, "reset", f"the connection to {where} broke ({type(error).__name__})")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk down to where a failure began: libraries wrap it as cause, context, reason or argument."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
