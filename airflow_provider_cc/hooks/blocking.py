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

from airflow_provider_cc.api.protocol import Call, Reply, Request
from airflow_provider_cc.hooks.connection import CCSettings
from airflow_provider_cc.hooks.session import SessionManager, call_flow
from airflow_provider_cc.hooks.wire import ACCEPT_ENCODING, Body, connection_failure, mount, not_http

T = TypeVar("T")

USER_AGENT = f"airflow-provider-cc/{version('airflow-provider-cc')}"


class _Signature(AuthBase):
    """Adds a request's headers as its credentials: without credentials, requests reads ``~/.netrc``."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


class BlockingClient:
    """Sends requests and reads their replies, with one kept connection and every wait bounded.

    :param settings: the connection
    """

    def __init__(self, settings: CCSettings) -> None:
        self._settings = settings
        self.session = requests.Session()
        self.session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING})
        mount(self.session, settings)
        if settings.verify is False:
            # Warned of once, by the hook, in words that name the setting. Not by catch_warnings around each
            # request: that is not safe in threads, and an event poll lasts for seconds.
            host = re.escape(settings.host)
            message = f"Unverified HTTPS request is being made to host '{host}'"
            warnings.filterwarnings("ignore", message, urllib3.exceptions.InsecureRequestWarning)

    def make(self, call: Call[T], sessions: SessionManager) -> T:
        """Make a call, signed with a session.

        :param call: the call
        :param sessions: gives the session
        :raises CCError: as :func:`airflow_provider_cc.hooks.session.call_flow`, and for a failed connection
        """
        flow = call_flow(call, sessions)
        step = next(flow)
        try:
            while True:
                step = flow.send(self.send(step) if isinstance(step, Request) else step())
        except StopIteration as done:
            result: T = done.value
            return result

    def close(self) -> None:
        """Close the kept connections; the client can still be used."""
        self.session.close()

    def send(self, request: Request) -> Reply:
        """Send a request once, and read its reply.

        :param request: the request, signed
        :raises CCError: no reply, or one that cannot be read
        """
        settings = self._settings
        try:
            response = self.session.request(
                request.method,
                settings.url(request.path),
                data=request.body,
                auth=_Signature(request.headers),
                timeout=(settings.timeout, settings.timeout + request.longest),
                verify=settings.verify,
                allow_redirects=False,
                stream=True,
            )
            with response:
                return Reply(response.status_code, response.headers, _body(request.name, response))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = connection_failure(request.name, error, settings)
        # Raised out here, so that the library's exception, which holds the request, is not its context.
        raise failure


def _body(name: str, response: requests.Response) -> bytes:
    body = Body(name, response.headers.get("Content-Encoding"))
    try:
        for piece in response.raw.stream(65536, decode_content=False):
            body.add(piece)
    except ValueError:  # urllib3 takes a chunk's length as it is, below zero, too
        raise not_http(name, "invalid chunk size") from None
    return body.whole()
