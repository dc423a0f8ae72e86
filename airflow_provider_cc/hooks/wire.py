"""Lenient HTTP: both clients read every reply that curl reads, and explain failures."""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import aiohttp.client_proto
import requests
import urllib3
import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.util.response import assert_header_parsing
from yarl import URL

from airflow_provider_cc.api.text import clean
from airflow_provider_cc.exceptions import (
    CCConfigError,
    CCError,
    CCResponseError,
    CCTransientError,
    ErrorCode,
)
from airflow_provider_cc.hooks.connection import CCSettings

#: Longest header line of a reply, in bytes: http.client's limit, also set for aiohttp.
MAX_LINE = 65536


# requests


class _Watched(io.RawIOBase):
    """A socket's stream with a time-out for the whole reply; that of requests restarts with every byte."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock, self._raw = sock, raw
        self._end = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the reply is incomplete")
        self._sock.settimeout(left)  # urllib3 sets it again before each request and each reply
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Reply(http.client.HTTPResponse):
    """A reply, including one to CONNECT, with a time-out from its first byte to its last."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_Watched(sock, self.fp.detach()))

    def begin(self) -> None:
        """Read the headers; urllib3 would log unreadable headers with all their values."""
        super().begin()
        try:
            assert_header_parsing(self.msg)
        except (urllib3.exceptions.HeaderParsingError, TypeError):
            raise http.client.HTTPException("invalid header line") from None


class _PlainConnection(urllib3.connection.HTTPConnection):
    response_class = _Reply


class _TLSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Reply

    def send(self, data: Any) -> None:
        try:
            super().send(data)
        except ssl.SSLEOFError:
            # With TLS 1.3, a server that rejects the client's certificate reports it only now: read its
            # alert.
            self.sock.recv(1)
            raise


_POOLS = {
    "http": type("_PlainPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": _PlainConnection}),
    "https": type("_TLSPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": _TLSConnection}),
}


class _Adapter(HTTPAdapter):
    """Connects with our own TLS context and connection classes, directly or through a proxy."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        self._tls: dict[str, Any] = {"ssl_context": context, "server_hostname": server_name}
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **named: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **named, **self._tls)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        if not proxy.lower().startswith(("http://", "https://")):  # aiohttp supports no other
            raise requests.exceptions.InvalidProxyURL
        named.update(self._tls, proxy_ssl_context=self._tls["ssl_context"])
        manager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def cert_verify(self, *arguments: Any, **named: Any) -> None:
        """Do not change the context; requests would add its own authorities."""


def mount(session: requests.Session, settings: CCSettings) -> None:
    """Make a ``requests`` session connect with the settings of an Airflow connection."""
    context = settings.ssl_context()
    for prefix in ("https://", "http://"):
        session.mount(prefix, _Adapter(context))
    # Only here: an extra may name another host, which has its own certificate.
    session.mount(f"{settings.base_url}/", _Adapter(context, settings.server_name))


# aiohttp


class _Protocol(aiohttp.client_proto.ResponseHandler):
    """aiohttp's protocol, for headers that curl and http.client accept and aiohttp's parser rejects."""

    #: The received part of a reply's headers while they are incomplete.
    _head = b""
    #: The parser of the latest reply whose headers are complete; each reply has its own.
    _past_head: Any = None

    def data_received(self, data: bytes) -> None:
        """Hold headers back until they are complete, and pass them on in a form that the parser accepts."""
        if self._parser is not self._past_head and data:
            data = self._head + data
            end = data.find(b"\r\n\r\n") + 2
            if end < 2:
                blank_line = _BLANK_LINE.search(data)
                if blank_line is None and len(data) <= MAX_LINE and data[:5] in _HTTP:
                    self._head = data
                    return
                end = blank_line.start() + 1 if blank_line else len(data)
            self._head, self._past_head = b"", self._parser
            head = data[:end].lower()
            if b"\ntransfer-encoding:" in head or head.count(b"\ncontent-length:") > 1:
                data = _with_one_length(data[:end]) + data[end:]
        super().data_received(data)


_BLANK_LINE = re.compile(rb"\n\r?\n")
#: The possible beginnings of a reply.
_HTTP = frozenset(b"HTTP/"[:length] for length in range(6))
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([^\r\n]*?)[ \t]*\r?(?=\n)", re.IGNORECASE)
_IDENTITY = re.compile(rb"\ntransfer-encoding:[ \t]*identity[ \t]*\r?(?=\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\ntransfer-encoding:[^\n]*chunked", re.IGNORECASE)


def _with_one_length(head: bytes) -> bytes:
    """Drop repeated equal lengths, a length in addition to chunks, and "Transfer-Encoding: identity"."""
    head = _IDENTITY.sub(b"", head)
    seen = set[bytes]()

    def kept(length: re.Match[bytes]) -> bytes:
        is_repeated = is_chunked or length[1] in seen
        seen.add(length[1])
        return b"" if is_repeated else length[0]

    is_chunked = _CHUNKED.search(head)
    return _LENGTH.sub(kept, head)


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector for one host; the caller limits the number of concurrent requests."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(limit=0, ssl=context, keepalive_timeout=30)
        protocol: type[aiohttp.client_proto.ResponseHandler] = _Protocol
        self._factory = functools.partial(protocol, loop=self._loop)


def environment_proxy(base_url: str) -> str | None:
    """Return the environment's proxy for a URL, chosen as requests does."""
    proxy = select_proxy(base_url, get_environ_proxies(base_url))
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    with contextlib.suppress(ValueError):
        if URL(proxy).scheme in ("http", "https") and URL(proxy).host:
            return proxy
    raise _unusable_proxy()


# Failures

_PROXY = "the proxy (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY)"
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH}
#: These mean that the connection broke; all other exceptions of http.client mean that the reply is not HTTP.
_CUT_SHORT = (http.client.RemoteDisconnected, http.client.IncompleteRead)

_CLOCK = "Renew the certificate on the server, or check this machine's clock"
_SERVER_NAME = "Set extra server_name to the name that the certificate is issued to"
#: What to do about a certificate, by OpenSSL's codes: not yet valid, expired, another name, another address.
_CERTIFICATE_ADVICE = {9: _CLOCK, 10: _CLOCK, 62: _SERVER_NAME, 64: _SERVER_NAME}
_AUTHORITY = "Set extra verify to the path of the CA bundle that signed it"

_VERSION = "The server and this machine support no common TLS version (1.2 or later): update the server"
_REFUSED = "The server rejected the certificate in extra client_cert"
#: What to do about a failed handshake, by words in OpenSSL's reason; the first match applies.
_HANDSHAKE_ADVICE = {
    "PROTOCOL_VERSION": _VERSION,
    "UNSUPPORTED_PROTOCOL": _VERSION,
    "CERTIFICATE_REQUIRED": "The server requires a client certificate: set extra client_cert",
    "HANDSHAKE_FAILURE": "The server may require a client certificate (extra client_cert), or it supports "
    "none of this machine's ciphers",
    "CERTIFICATE": _REFUSED,  # bad, expired, revoked, unknown, unsupported
    "UNKNOWN_CA": _REFUSED,
    "ACCESS_DENIED": _REFUSED,
    "UNRECOGNIZED_NAME": _SERVER_NAME,
}


def connection_failure(endpoint: str, error: BaseException, settings: CCSettings) -> CCError:
    """Explain in terms of the Airflow connection why there is no reply, from either library's exception."""
    causes = list(_causes(error))
    where = f"{settings.host}:{settings.port}"
    transient = functools.partial(CCTransientError, endpoint)

    def found(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if tls := _tls_failure(endpoint, causes, settings):
        return tls
    if found(requests.exceptions.InvalidProxyURL):
        return _unusable_proxy()
    if found(
        requests.exceptions.ProxyError, aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError
    ):
        return transient(ErrorCode.CONNECT, f"{_PROXY} did not connect")
    if found(socket.gaierror, urllib3.exceptions.NameResolutionError):
        return transient(ErrorCode.DNS, f"the host name {settings.host} cannot be resolved")
    if found(ConnectionRefusedError):
        return transient(ErrorCode.CONNECT, f"{where} refused the connection")
    # Before the time-outs, because urllib3 treats its own exception as one.
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if found(urllib3.exceptions.NewConnectionError) or numbers & _UNREACHABLE:
        return transient(ErrorCode.CONNECT, f"{where} cannot be reached")
    if found(TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError):
        return transient(ErrorCode.TIMEOUT, f"no complete answer from {where} within {settings.timeout:g} s")
    hint = "; if this port expects TLS, set schema to https" if settings.schema == "http" else ""
    if (reason := _invalid_http(causes)) is not None:
        return not_http(endpoint, reason + hint)
    if found(ValueError):
        return CCConfigError(f"connection {settings.conn_id!r}: {settings.base_url} is not a valid URL")
    return transient(ErrorCode.RESET, f"the connection to {where} broke ({type(error).__name__}){hint}")


def _unusable_proxy() -> CCConfigError:
    return CCConfigError(f"{_PROXY} must be an http or https address")  # which may contain a password


def not_http(endpoint: str, reason: str) -> CCResponseError:
    """Return the exception for a reply that is not HTTP, with the reason but no part of the reply."""
    return CCResponseError(endpoint, ErrorCode.NOT_HTTP, f"invalid HTTP response: {clean(reason)}")


def _tls_failure(endpoint: str, causes: list[BaseException], settings: CCSettings) -> CCError | None:
    where, config = f"{settings.host}:{settings.port}", f"connection {settings.conn_id!r}"
    # aiohttp wraps them in classes that are also SSL errors, but do not have OpenSSL's reason.
    for cause in (cause for cause in causes if isinstance(cause, ssl.SSLError) and hasattr(cause, "reason")):
        if isinstance(cause, ssl.SSLCertVerificationError):
            advice = _CERTIFICATE_ADVICE.get(cause.verify_code, _AUTHORITY)
            return CCConfigError(
                f"{config}: the certificate of {where} is not trusted ({cause.verify_message}). {advice}"
            )
        reason = str(cause.reason)
        failed = f"TLS handshake with {where} failed ({reason})"
        for words, advice in _HANDSHAKE_ADVICE.items():
            if words in reason:
                return CCConfigError(f"{config}: {failed}. {advice}")
        if not isinstance(cause, ssl.SSLEOFError):
            text = f"{failed}; check the connection's schema and port"
            return CCTransientError(endpoint, ErrorCode.TLS, text)
    return None


def _invalid_http(causes: list[BaseException]) -> str | None:
    """Return the library's reason why a reply is not HTTP, without the bytes that it quotes."""
    for cause in causes:
        if isinstance(cause, aiohttp.ClientResponseError):
            return re.split(r": | b?['\"]|:?\n", cause.message)[0]
        if isinstance(cause, urllib3.exceptions.InvalidHeader):
            return str(cause)
        if isinstance(cause, urllib3.exceptions.InvalidChunkLength):
            return "invalid chunk size"
        if isinstance(cause, http.client.HTTPException) and not isinstance(cause, _CUT_SHORT):
            quotes = isinstance(cause, http.client.BadStatusLine | http.client.UnknownProtocol)
            return "invalid status line" if quotes else str(cause)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Iterate over the chain of causes: libraries wrap the first one as cause, reason or argument.

    Ignores the context, which is an exception that the caller was handling when it made this call.
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
