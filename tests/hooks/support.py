"""Calls, both clients behind one function, and servers that do what no contact center should."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_cc.api import management
from airflow_provider_cc.api.gateway import any_gateway_call
from airflow_provider_cc.api.isales import any_isales_call
from airflow_provider_cc.api.protocol import Call
from airflow_provider_cc.hooks.base import CCHook
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook

INFO = "queryAgentInfoByAccount"
TOKEN = "tokenByAkSk"
TASKS = "business/tasks"
VDN_AGENTS = "config/vdn/agents"
OK = b'{"returnCode":"0","data":{"workNo":7094,"agentType":5,"agentStatus":"0"}}'

#: A connection to a server of a test's own, which lacks the port.
PLAIN = {
    "conn_type": "cc_management",
    "host": "127.0.0.1",
    "schema": "http",
    "login": "key",
    "password": "the-secret",
}

Handler = Callable[[socket.socket], None]


def info(account: str = "agent000000") -> Call[Any]:
    return management.query_agent_info(account)


#: Each system with a hook, a call, that call's name and its sign-in's.
SYSTEMS = {
    "management": (CCManagementHook, info, INFO, TOKEN),
    "gateway": (CCGatewayHook, lambda: any_gateway_call("GET", VDN_AGENTS), VDN_AGENTS, "config/login"),
    "isales": (CCISalesHook, lambda: any_isales_call("POST", TASKS), TASKS, "auth/login"),
}
EVERY_SYSTEM = pytest.mark.parametrize("system", SYSTEMS)


def one_by_one(hook: CCHook, calls: Iterable[Call[Any]]) -> list[Any]:
    """Make calls over requests."""
    return [hook.send(call) for call in calls]


def in_threads(hook: CCHook, calls: Iterable[Call[Any]], threads: int = 20) -> list[Any]:
    """Make calls over requests, from threads that all begin at the same moment; failures are results."""
    calls = list(calls)
    begin = threading.Barrier(min(threads, len(calls)))

    def make(call: Call[Any]) -> Any:
        begin.wait(timeout=10)
        try:
            return hook.send(call)
        except Exception as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, calls))


def at_once(hook: CCHook, calls: Iterable[Call[Any]]) -> list[Any]:
    """Make calls over aiohttp, all at the same time; failures are results."""

    async def gather() -> list[Any]:
        async with hook.bulk() as bulk:
            return await asyncio.gather(*map(bulk.call, calls), return_exceptions=True)

    return asyncio.run(gather())


def one_in_bulk(hook: CCHook, call: Call[Any]) -> Any:
    """Make a call over aiohttp."""
    (result,) = at_once(hook, [call])
    if isinstance(result, BaseException):
        raise result
    return result


#: One call by either client.
CLIENTS: dict[str, Callable[[CCHook, Call[Any]], Any]] = {
    "requests": lambda hook, call: hook.send(call),
    "aiohttp": one_in_bulk,
}
#: For what may differ between the clients. A sign-in always goes over requests.
EVERY_CLIENT = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)


def read_request(connection: socket.socket) -> bytes:
    """Read a request, or a reply, with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def http(body: bytes = OK, status: str = "200 OK", headers: str = "") -> bytes:
    """Write a reply."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def says(reply: bytes, *, then_reset: bool = False) -> Handler:
    """Answer every request with the same bytes, and end the connection."""

    def handle(connection: socket.socket) -> None:
        if read_request(connection):
            connection.sendall(reply)
        if then_reset:
            reset(connection)

    return handle


def reset(connection: socket.socket) -> None:
    """End a connection so that the peer sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Server:
    """Answers connections on a port of 127.0.0.1 as a function says; counts them.

    :param handle: gets each connection in a thread
    :param tls: certificate and key, for a server over TLS
    """

    def __init__(self, handle: Handler, tls: tuple[str, str] | None = None) -> None:
        self._handle = handle
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self._context is not None and tls:
            self._context.load_cert_chain(*tls)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # which ends a call that waits for the next connection
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with contextlib.suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._handle(connection)
        with contextlib.suppress(OSError):
            connection.close()


def proxy(seen: list[bytes]) -> Handler:
    """Do what a web proxy does: tunnels, and plain requests; notes the first line of each."""

    def handle(client: socket.socket) -> None:
        while request := read_request(client):
            first, _, rest = request.partition(b"\r\n")
            seen.append(first)
            method, target, version = first.split(b" ")
            tunnel = method == b"CONNECT"
            where, _, path = target.removeprefix(b"http://").partition(b"/")
            name, _, port = where.decode().partition(":")
            with socket.create_connection((name, int(port)), timeout=10) as server:
                if tunnel:
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    return _relay(client, server)
                server.sendall(b"%b /%b %b\r\n%b" % (method, path, version, rest))
                client.sendall(read_request(server))

    return handle


def _relay(one: socket.socket, other: socket.socket) -> None:
    while ready := select.select([one, other], [], [], 10)[0]:
        for source in ready:
            if not (data := source.recv(65536)):
                return
            (other if source is one else one).sendall(data)


@contextlib.contextmanager
def unused_port() -> Iterator[int]:
    """Give a port that refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but nobody listens
        yield held.getsockname()[1]
