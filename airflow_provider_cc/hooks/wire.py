"""What the network and the HTTP libraries do to a call, and how that is said of an Airflow connection."""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import socket
import ssl
import time
import zlib
from collections.abc import Iterator
from typing import Any

import aiohttp
import requests
import urllib3
import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.util.response import assert_header_parsing
from yarl import URL

from airflow_provider_cc.exceptions import CCConfigError, CCError, CCResponseError, CCTransientError
from airflow_provider_cc.hooks.connection import CCSettings

_UNKNOWN_AUTHORITY = "Set extra verify to the path of the CA bundle that signed it"
_OUT_OF_DATE = "Extra verify demands a valid one: renew it on the server, or look at this machine's clock"
_OTHER_HOST = "Extra verify demands one for this host: set host to a name that it is made out to"
#: By OpenSSL's codes: not yet valid, expired, another host's, another address's.
_REMEDY = {9: _OUT_OF_DATE, 10: _OUT_OF_DATE, 62: _OTHER_HOST, 64: _OTHER_HOST}
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
#: These say that the connection broke; every other exception of http.client that what came is no HTTP.
_CUT_SHORT = (http.client.RemoteDisconnected, http.client.IncompleteRead)
#: No reply of the manual comes near this size, in bytes; a longer one is cut off with an error.
MAX_BODY = 16 * 1024 * 1024
#: What both clients ask for, and all that they unpack.
ACCEPT_ENCODING = "gzip, deflate"
#: A gzip header or zlib's, whichever comes.
_EITHER = 32 + zlib.MAX_WBITS


class Body:
    """Collects a body piece by piece.

    It is unpacked here and not by the HTTP libraries, since 64 KiB can unpack to any size: this stops where
    the limit is.

    :param endpoint: for exceptions
    :param encoding: the reply's ``Content-Encoding``, if it has one
    """

    def __init__(self, endpoint: str, encoding: str | None) -> None:
        self._endpoint = endpoint
        self._encoding = (encoding or "").strip().lower()
        self._unpacker: zlib._Decompress | None = None
        self._parts: list[bytes] = []
        self._size = self._received = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece, as it came over the wire.

        :raises CCResponseError: too much of it, or packed in a way that cannot be unpacked
        """
        self._received += len(piece)
        part = piece if self._encoding in ("", "identity") else self._unpacked(piece)
        self._size += len(part)
        # Either may be the longer one, and either alone may have no end.
        if max(self._size, self._received) > MAX_BODY:
            raise CCResponseError(self._endpoint, "too long", f"the reply is longer than {MAX_BODY} bytes")
        self._parts.append(part)

    def whole(self) -> bytes:
        """Return the body.

        :raises CCResponseError: its compressed form lacks its end
        """
        if self._unpacker is not None and not self._unpacker.eof:
            raise self._broken()
        return b"".join(self._parts)

    def _unpacked(self, piece: bytes) -> bytes:
        if self._unpacker is None and piece:
            self._unpacker = zlib.decompressobj(self._window(piece[0]))
        if self._unpacker is None:
            return b""
        try:
            # One byte more than there is room for shows that it is too long.
            part = self._unpacker.decompress(piece, MAX_BODY + 1 - self._size)
        except zlib.error:
            raise self._broken() from None
        if self._unpacker.unused_data:
            raise self._broken()
        return part

    def _window(self, first: int) -> int:
        """Choose how to unpack; some servers leave out the header of "deflate"."""
        if self._encoding in ("gzip", "x-gzip"):
            return _EITHER
        if self._encoding == "deflate":
            return _EITHER if first & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS
        raise CCResponseError(
            self._endpoint, "not readable", f"the reply is compressed, but by none of {ACCEPT_ENCODING}"
        )

    def _broken(self) -> CCResponseError:
        return CCResponseError(self._endpoint, "not readable", "the reply's compression is broken")


class _Watched(io.RawIOBase):
    """What a socket delivers, up to a moment.

    :param sock: the socket; its time-out is what the whole reply may take
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
                raise TimeoutError("the reply is not complete in time")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.settimeout(self._timeout)  # the connection may be kept for another request
        self._raw.close()
        super().close()


class _Reply(http.client.HTTPResponse):
    """A reply, the one to a CONNECT included, that is watched from its first byte to its last."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_Watched(sock, self.fp.detach()))

    def begin(self) -> None:
        """Read the head; urllib3 would log what it cannot read of it, with all that may be in there."""
        super().begin()
        try:
            assert_header_parsing(self.msg)
        except (urllib3.exceptions.HeaderParsingError, TypeError):
            raise http.client.HTTPException("broken headers") from None


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Reply


class _TLSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Reply


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


class DeadlineAdapter(HTTPAdapter):
    """Mounted on a ``requests`` session, it makes the read time-out that of the whole reply."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """Make the connections without a proxy."""
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        """Make those through a proxy.

        :param proxy: its address
        :raises requests.exceptions.InvalidProxyURL: it is of a kind that the asynchronous client lacks, too
        """
        if not proxy.lower().startswith(("http://", "https://")):
            raise requests.exceptions.InvalidProxyURL
        manager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def environment_proxy(base_url: str) -> str | None:
    """Return the environment's proxy for an address, as requests chooses it."""
    proxy = select_proxy(base_url, get_environ_proxies(base_url))
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        usable = URL(proxy).scheme in ("http", "https") and URL(proxy).host
    except ValueError:
        usable = None
    if not usable:
        raise unusable_proxy()
    return proxy


def connection_failure(endpoint: str, error: BaseException, settings: CCSettings) -> CCError:
    """Say in one exception, and in the terms of the Airflow connection, why no reply came.

    :param endpoint: what was called
    :param error: what the HTTP library raised
    :param settings: the connection
    """
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return proxy_failure(endpoint)
    if isinstance(error, aiohttp.ClientResponseError):
        return no_http(endpoint)
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
