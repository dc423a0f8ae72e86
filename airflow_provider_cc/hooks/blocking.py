"""One call at a time, over requests."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import TypeVar

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from airflow_provider_cc.api.protocol import Call, Reply, understand
from airflow_provider_cc.hooks.connection import CCSettings
from airflow_provider_cc.hooks.wire import ACCEPT_ENCODING, Body, DeadlineAdapter, connection_failure, no_http

T = TypeVar("T")

USER_AGENT = f"airflow-provider-cc/{version('airflow-provider-cc')}"


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
