"""A time-out for the whole of a reply: those of requests begin anew with each byte that drips in."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import time
from typing import Any

import requests
import urllib3
import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.util.response import assert_header_parsing


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
