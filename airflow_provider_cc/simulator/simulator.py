"""The simulator for tests and the command line: start, stop, agents, statistics."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from airflow_provider_cc.simulator.certificates import CertificateFiles, provide_certificates
from airflow_provider_cc.simulator.faults import Faults
from airflow_provider_cc.simulator.population import Agent
from airflow_provider_cc.simulator.server import Server
from airflow_provider_cc.simulator.settings import Settings
from airflow_provider_cc.simulator.site import Site
from airflow_provider_cc.simulator.statistics import Statistics

_T = TypeVar("_T")
#: Backlog of the listening socket; load tests open hundreds of connections at once.
_BACKLOG = 1024
#: Time for unfinished requests when the simulator stops, in seconds.
_SHUTDOWN_SECONDS = 0.2
_LAST_ACCEPT_SECONDS = 0.01


class Simulator:
    """A simulated contact center with its own thread and port.

    Use it as a context manager, or call `start` and `stop`. Once stopped it can be started again, with its
    agents and statistics as they were, but with new certificates unless `Settings.cert_dir` is given.

    :param settings: settings of the contact center; all but the first seven may be changed while it runs
    :param faults: injected faults; may be changed while it runs
    """

    def __init__(self, settings: Settings | None = None, faults: Faults | None = None) -> None:
        self.settings = settings or Settings()
        self.faults = faults or Faults()
        self._site = Site(self.settings, self.faults)
        self._server = Server(self._site)
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._certificates: CertificateFiles | None = None
        self._temporary: Path | None = None

    def start(self) -> Self:
        """Start the server and return once it accepts requests. Raises OSError if the port is in use."""
        if self._thread is not None:
            raise RuntimeError("the simulator is already running")
        self._socket = socket.create_server((self.settings.host, self.settings.port), backlog=_BACKLOG)
        try:
            context = self._tls_context() if self.settings.tls else None
            ready: Future[None] = Future()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._serve(context, ready)), name="cc-simulator", daemon=True
            )
            self._thread.start()
            ready.result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close all connections and remove the temporary certificates. Does nothing if not running."""
        if self._thread is not None and self._loop is not None and self._stopping is not None:
            # If the start failed, the loop has already ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        if self._socket is not None:
            self._socket.close()
        self._thread = self._loop = self._stopping = self._socket = self._certificates = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _tls_context(self) -> ssl.SSLContext:
        if self.settings.cert_dir is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="cc-simulator-"))
        self._certificates = provide_certificates(
            # Absolute, because connections with this path are used in any folder.
            Path(self.settings.cert_dir or self._temporary or "").absolute(),
            self.settings.certificate,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificates.certificate, self._certificates.key)
        return context

    async def _serve(self, context: ssl.SSLContext | None, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        assert self._socket is not None  # noqa: S101 - for the type checker: `start` has opened it
        server = web.Server(self._server.handle, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        try:
            await runner.setup()
            await web.SockSite(runner, self._socket, ssl_context=context, backlog=_BACKLOG).start()
        except BaseException as error:
            ready.set_exception(error)
            raise
        ready.set_result(None)
        try:
            await self._stopping.wait()
        finally:
            # A newly accepted connection needs a short time to reach the runner, which closes it with the
            # others. If the listening socket were closed first, asyncio would lose this connection, still
            # open.
            self._loop.remove_reader(self._socket)
            await asyncio.sleep(_LAST_ACCEPT_SECONDS)
            transports = [connection.transport for connection in server.connections]
            await runner.cleanup()
            # TLS sends a closing alert and waits for the client's, which an idle client never sends.
            for transport in transports:
                if transport is not None:
                    transport.abort()
            await asyncio.sleep(0)

    # Address

    @property
    def host(self) -> str:
        """Address that the server listens on."""
        return self.settings.host

    @property
    def port(self) -> int:
        """Port that the server listens on."""
        if self._socket is None:
            raise RuntimeError("the simulator is not running")
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Base URL of all systems, without a trailing slash."""
        return f"{self._schema}://{self.host}:{self.port}"

    @property
    def _schema(self) -> str:
        return "https" if self.settings.tls else "http"

    @property
    def ca_file(self) -> str | None:
        """Path of the certificate authority's PEM file; None without TLS."""
        return None if self._certificates is None else str(self._certificates.ca)

    def connections(self) -> dict[str, dict[str, Any]]:
        """Return Airflow connections to all systems, by connection ID, in Airflow's JSON format.

        `cc_agent_default` is the first agent of the directory, and missing if there is none.
        """
        settings = self.settings
        verify = {} if self.ca_file is None else {"verify": self.ca_file}
        address = {"host": self.host, "port": self.port, "schema": self._schema}
        tenant = {} if settings.tenant_space_id is None else {"tenant_space_id": settings.tenant_space_id}
        isales = {"token_header": settings.isales_header, "token_kind": settings.isales_token_kind}
        connections: dict[str, dict[str, Any]] = {
            "cc_management_default": {
                "conn_type": "cc_management",
                **address,
                "login": settings.app_key,
                "password": settings.app_secret,
                "extra": {**verify, **tenant},
            },
            "cc_gateway_default": {
                "conn_type": "cc_gateway",
                **address,
                "login": str(settings.admin_id),
                "password": settings.admin_password,
                "extra": {**verify},
            },
            "cc_isales_default": {
                "conn_type": "cc_isales",
                **address,
                "login": settings.isales_user,
                "password": settings.isales_password,
                "extra": {**verify, **isales},
            },
        }
        for account in self.accounts(limit=1):
            agent = self.agent(account)
            connections["cc_agent_default"] = {
                "conn_type": "cc_agent",
                "login": str(agent.agent_id),
                "password": agent.agent_password,
                "extra": {"phone_number": agent.softphone_number},
            }
        return connections

    def environment(self) -> dict[str, str]:
        """Return the connections as environment variables for Airflow."""
        return {
            f"AIRFLOW_CONN_{connection_id.upper()}": json.dumps(connection)
            for connection_id, connection in self.connections().items()
        }

    def secrets(self) -> set[str]:
        """Return what must not leak: the configured secrets, and the latest 10,000 tokens and Guids."""
        settings = self.settings
        return {
            settings.app_secret,
            settings.user_password,
            settings.admin_password,
            settings.vdn_password,
            settings.isales_password,
            *tuple(self._site.issued),
        }

    # Agents

    def accounts(self, limit: int | None = None) -> Iterator[str]:
        """Return the account codes in the order of the directory, at most `limit`."""
        return itertools.islice(self._site.population.accounts(), limit)

    def agent(self, account: str) -> Agent:
        """Return one agent. Raises KeyError if there is none."""
        agent = self._site.population.find(account)
        if agent is None:
            raise KeyError(account)
        return agent

    def add_agent(self, account: str, **attributes: Any) -> Agent:
        """Add an agent to the end of the directory. Missing attributes are computed."""
        return self._site.population.add(account, attributes)

    def change_agent(self, account: str, **attributes: Any) -> Agent:
        """Change attributes of an agent. Raises KeyError if there is none."""
        return self._site.population.change(account, attributes)

    def remove_agent(self, account: str) -> None:
        """Remove an agent. Raises KeyError if there is none."""
        self._site.population.remove(account)

    def lock_agent(self, account: str) -> Agent:
        """Reject every sign-in of an agent; `change_agent(account, locked=False)` reverts it."""
        return self.change_agent(account, locked=True)

    def signed_in_agents(self) -> list[int]:
        """Return the IDs of the agents who are signed in."""
        return list(self._in_server(self._server.gateway.signed_in))

    def status_of(self, agent_id: int) -> int:
        """Return the status that an agent signed in with: 3 busy, 4 idle, 5 wrap-up.

        Raises KeyError if the agent is not signed in.
        """
        return self._in_server(self._server.gateway.signed_in)[agent_id]

    # Statistics and sessions

    @property
    def stats(self) -> Statistics:
        """Statistics of requests and replies."""
        return self._site.statistics

    @property
    def on_directory_page(self) -> Callable[[int], object] | None:
        """Function that is called with the page number before a page of the directory is built.

        It runs in the server's thread and may change agents. None: nothing is called.
        """
        return self._server.management.on_directory_page

    @on_directory_page.setter
    def on_directory_page(self, callback: Callable[[int], object] | None) -> None:
        self._server.management.on_directory_page = callback

    def expire_sessions(self) -> None:
        """End all tokens and Guids now, and sign out all agents."""
        self._in_server(self._server.expire_sessions)

    def _in_server(self, function: Callable[[], _T]) -> _T:
        """Run a function in the server's thread, which owns the sessions."""
        if self._loop is None or threading.current_thread() is self._thread:
            return function()
        result: Future[_T] = Future()
        self._loop.call_soon_threadsafe(lambda: result.set_result(function()))
        return result.result()
