"""HTTP as contact centers speak it: reads what curl reads, and explains what cannot be read."""

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
import zlib
from collections.abc import Iterator
from typing import Any, TypeVar

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

E = TypeVar("E")

#: Largest reply that is read, in bytes; no reply of the manual comes near it.
MAX_BODY = 16 * 1024 * 1024
#: The compressions that both clients ask for and read.
ACCEPT_ENCODING = "gzip, deflate"
#: Longest line of a reply's head, in bytes: http.client's limit, set for aiohttp, too.
MAX_LINE = 65536


# Bodies

#: Detects gzip's and zlib's header.
_EITHER = 32 + zlib.MAX_WBITS
_GZIP = b"\x1f"
#: Most members of a gzip body, each of which costs more time than its bytes.
_MAX_MEMBERS = 1000


class Body:
    """Collects a body piece by piece, in bounded memory.

    It is decompressed here and not by the HTTP libraries, because 64 KiB can decompress to any size.

    :param endpoint: for exceptions
    :param encoding: the reply's ``Content-Encoding``, if it has one
    """

    def __init__(self, endpoint: str, encoding: str | None) -> None:
        self._endpoint = endpoint
        self._encoding = (encoding or "").strip().lower()
        self._is_compressed = self._encoding in ("gzip", "x-gzip", "deflate")
        self._decompressor: zlib._Decompress | None = None
        self._members = 0
        self._parts: list[bytes] = []
        self._size = self._received = 0

    def add(self, piece: bytes) -> None:
        """Add the next piece, as it came over the wire.

        :raises CCResponseError: the body is too long, or cannot be decompressed
        """
        self._received += len(piece)
        if self._is_compressed:
            self._decompress(piece)
        else:
            self._keep(piece)

    def whole(self) -> bytes:
        """Return the body.

        :raises CCResponseError: it is compressed and incomplete, or compressed in an unknown way
        """
        if self._decompressor is not None and not self._decompressor.eof:
            raise self._unreadable("the compressed reply is incomplete")
        body = b"".join(self._parts)
        # Some servers send "UTF-8" or another word that is no compression: then the body is JSON as it is.
        known = self._is_compressed or self._encoding in ("", "identity")
        if not known and body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"", b"{", b"["):
            raise self._unreadable(f"Content-Encoding {clean(self._encoding)!r} is not supported")
        return body

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        # Either may be the longer one, and either alone may have no end.
        if max(self._size, self._received) > MAX_BODY:
            raise CCResponseError(
                self._endpoint, ErrorCode.TOO_LONG, f"the reply is longer than {MAX_BODY} bytes"
            )
        self._parts.append(part)

    def _decompress(self, piece: bytes) -> None:
        while piece:
            if self._decompressor is None or (self._decompressor.eof and piece.startswith(_GZIP)):
                self._members += 1
                self._decompressor = zlib.decompressobj(self._window(piece[0]))
            elif self._decompressor.eof:
                break  # padding, as curl and requests see it
            try:
                # One byte more than there is room for shows that it is too long.
                part = self._decompressor.decompress(piece, MAX_BODY + 1 - self._size)
            except zlib.error as error:
                reason = str(error)
            else:
                reason = "too many gzip members" if self._members > _MAX_MEMBERS else ""
            if reason:
                raise self._unreadable(f"the reply cannot be decompressed ({clean(reason)})")
            self._keep(part)
            piece = self._decompressor.unused_data
        self._keep(b"")

    def _window(self, first: int) -> int:
        """Choose the format; some servers leave out the header of "deflate"."""
        is_raw = self._encoding == "deflate" and first & 0x0F != zlib.DEFLATED
        return -zlib.MAX_WBITS if is_raw else _EITHER

    def _unreadable(self, why: str) -> CCResponseError:
        return CCResponseError(self._endpoint, ErrorCode.NOT_READABLE, why)


# Heads, as http.client reads them


class _Watched(io.RawIOBase):
    """A socket's stream with a time-out for the whole reply; that of requests restarts with each byte.

    :param sock: the socket; its time-out is that of the whole reply
    :param raw: the stream over it
    """

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock, self._raw = sock, raw
        self._timeout = sock.gettimeout()
        self._end = None if self._timeout is None else time.monotonic() + self._timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the reply is incomplete")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.settimeout(self._timeout)  # the connection may be kept for another request
        self._raw.close()
        super().close()


class _Reply(http.client.HTTPResponse):
    """A reply, the one to a CONNECT included, with a time-out from its first byte to its last."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_Watched(sock, self.fp.detach()))

    def begin(self) -> None:
        """Read the head; urllib3 would log an unreadable one, with everything in it."""
        super().begin()
        try:
            assert_header_parsing(self.msg)
        except (urllib3.exceptions.HeaderParsingError, TypeError):
            raise http.client.HTTPException("invalid header line") from None


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Reply


class _TLSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Reply

    def send(self, data: Any) -> None:
        try:
            super().send(data)
        except ssl.SSLEOFError:
            # With TLS 1.3, a server that refuses the client's certificate says so only now: read its alert.
            self.sock.recv(1)
            raise


_POOLS = {
    "http": type("_Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": _Connection}),
    "https": type("_TLSPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": _TLSConnection}),
}


class DeadlineAdapter(HTTPAdapter):
    """Adapter for a ``requests`` session: the read time-out is that of the whole reply.

    :param context: how certificates are checked
    :param server_name: the name that the certificate is issued to, if it is not the host's
    """

    def __init__(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        self._tls: dict[str, Any] = {"ssl_context": context, "server_hostname": server_name}
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **named: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(connections, maxsize, block, **named, **self._tls)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        """Make the pools of connections through a proxy.

        :param proxy: its address
        :raises requests.exceptions.InvalidProxyURL: it is of a kind that aiohttp does not support
        """
        if not proxy.lower().startswith(("http://", "https://")):
            raise requests.exceptions.InvalidProxyURL
        named.update(self._tls, proxy_ssl_context=self._tls["ssl_context"])
        manager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def cert_verify(self, *arguments: Any, **named: Any) -> None:
        """Leave the context as it is; requests would add its own authorities."""


def mount(session: requests.Session, settings: CCSettings) -> None:
    """Let a ``requests`` session connect as a connection says.

    :param session: the session
    :param settings: the connection
    :raises CCConfigError: a file of certificates cannot be read
    """
    context = settings.ssl_context()
    for prefix in ("https://", "http://"):
        session.mount(prefix, DeadlineAdapter(context))
    # Only here: an extra may name another host, which has a certificate of its own.
    session.mount(f"{settings.base_url}/", DeadlineAdapter(context, settings.server_name))


# Heads, as aiohttp reads them


class _Protocol(aiohttp.client_proto.ResponseHandler):
    """aiohttp's protocol, for heads that curl and http.client read and aiohttp's parser refuses."""

    #: What has arrived of a reply's head while it is incomplete.
    _head = b""
    #: The parser of the latest reply whose head is complete; each reply has its own.
    _past_head: Any = None

    def data_received(self, data: bytes) -> None:
        """Hold a head back until it is complete, and pass it on in a form that the parser reads."""
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
#: The beginnings of a head.
_HTTP = frozenset(b"HTTP/"[:length] for length in range(6))


def _with_one_length(head: bytes) -> bytes:
    """Drop repetitions of the same length, a length beside chunks, and "Transfer-Encoding: identity"."""
    lines = [(line, *_field(line)) for line in head.split(b"\n")]
    is_chunked = any(name == b"transfer-encoding" and b"chunked" in value for _, name, value in lines)
    kept, lengths = [], set()
    for line, name, value in lines:
        if name == b"content-length":
            if is_chunked or value in lengths:
                continue
            lengths.add(value)
        if (name, value) != (b"transfer-encoding", b"identity"):
            kept.append(line)
    return b"\n".join(kept)


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.lower().partition(b":")
    return name, value.strip()


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector for one host; how many requests run at a time is for the caller to say.

    :param context: how certificates are checked
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(limit=0, ssl=context, keepalive_timeout=30)
        protocol: type[aiohttp.client_proto.ResponseHandler] = _Protocol
        self._factory = functools.partial(protocol, loop=self._loop)


# Proxies


def environment_proxy(base_url: str) -> str | None:
    """Return the environment's proxy for an address, as requests chooses it.

    :param base_url: the address
    :raises CCConfigError: it is of a kind that is not supported
    """
    proxy = select_proxy(base_url, get_environ_proxies(base_url))
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        is_usable = URL(proxy).scheme in ("http", "https") and URL(proxy).host
    except ValueError:
        is_usable = None
    if not is_usable:
        raise _unusable_proxy()
    return proxy


def _unusable_proxy() -> CCConfigError:
    # Its address may contain a password.
    return CCConfigError("the proxy (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) must be an http or https address")


# Failures

_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
#: These say that the connection broke; every other exception of http.client that the reply is not HTTP.
_CUT_SHORT = (http.client.RemoteDisconnected, http.client.IncompleteRead)

_CLOCK = "Renew the certificate on the server, or check this machine's clock"
_SERVER_NAME = "Set extra server_name to the name that the certificate is issued to"
#: What to do about a certificate, by OpenSSL's codes: not yet valid, expired, another name, another address.
_CERTIFICATE_ADVICE = {9: _CLOCK, 10: _CLOCK, 62: _SERVER_NAME, 64: _SERVER_NAME}
_AUTHORITY = "Set extra verify to the path of the CA bundle that signed it"

_VERSION = "The server and this machine support no common TLS version (1.2 or later): update the server"
_REFUSED = "The server does not accept the certificate in extra client_cert"
#: What to do about a failed handshake, by words in OpenSSL's reason; the first that fit.
_HANDSHAKE_ADVICE = {
    "PROTOCOL_VERSION": _VERSION,
    "UNSUPPORTED_PROTOCOL": _VERSION,
    "CERTIFICATE_REQUIRED": "The server asks for a client certificate: set extra client_cert",
    "HANDSHAKE_FAILURE": "The server may ask for a client certificate (extra client_cert), or support no "
    "cipher of this machine",
    "CERTIFICATE": _REFUSED,  # bad, expired, revoked, unknown, unsupported
    "UNKNOWN_CA": _REFUSED,
    "ACCESS_DENIED": _REFUSED,
    "UNRECOGNIZED_NAME": _SERVER_NAME,
}


def connection_failure(endpoint: str, error: BaseException, settings: CCSettings) -> CCError:
    """Explain in terms of the Airflow connection why there is no reply.

    :param endpoint: the call's name
    :param error: the exception of either HTTP library
    :param settings: the connection
    """
    causes = list(_causes(error))
    where = f"{settings.host}:{settings.port}"

    def found(*kinds: type[E]) -> E | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if tls := _tls_failure(endpoint, causes, settings):
        return tls
    if found(requests.exceptions.InvalidProxyURL):
        return _unusable_proxy()
    if found(
        requests.exceptions.ProxyError, aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError
    ):
        return CCTransientError(
            endpoint, ErrorCode.CONNECT, "the proxy (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) did not connect"
        )
    if found(socket.gaierror, urllib3.exceptions.NameResolutionError):
        return CCTransientError(endpoint, ErrorCode.DNS, f"the name {settings.host} cannot be resolved")
    # Before the time-outs, which urllib3 counts it among.
    if found(ConnectionRefusedError):
        return CCTransientError(endpoint, ErrorCode.CONNECT, f"{where} refuses the connection")
    if any(isinstance(cause, OSError) and cause.errno in _UNREACHABLE for cause in causes):
        return CCTransientError(endpoint, ErrorCode.CONNECT, f"{where} cannot be reached")
    is_new = found(urllib3.exceptions.NewConnectionError)
    if found(TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError) and not is_new:
        text = f"no complete answer from {where} within {settings.timeout:g} s"
        return CCTransientError(endpoint, ErrorCode.TIMEOUT, text)
    hint = "; if this port expects TLS, set schema to https" if settings.schema == "http" else ""
    if (reason := _invalid_http(causes)) is not None:
        return not_http(endpoint, reason + hint)
    if found(ValueError):
        return CCConfigError(f"connection {settings.conn_id!r}: {settings.base_url} is not a valid address")
    if is_new:
        return CCTransientError(endpoint, ErrorCode.CONNECT, f"{where} cannot be reached")
    text = f"the connection to {where} broke ({type(error).__name__}){hint}"
    return CCTransientError(endpoint, ErrorCode.RESET, text)


def not_http(endpoint: str, reason: str) -> CCResponseError:
    """Return the exception for a reply that is not HTTP.

    :param endpoint: the call's name
    :param reason: what is wrong with it, without a part of it
    """
    return CCResponseError(endpoint, ErrorCode.NOT_HTTP, f"invalid HTTP response: {clean(reason)}")


def _tls_failure(endpoint: str, causes: list[BaseException], settings: CCSettings) -> CCError | None:
    where, config = f"{settings.host}:{settings.port}", f"connection {settings.conn_id!r}"
    # aiohttp wraps them in classes that are SSL errors, too, but lack OpenSSL's reason.
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
    """Walk down to the first cause: libraries wrap it as cause, reason or argument.

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
