"""Ways to have something go wrong at an exact place of a run."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from typing import Any, Literal, Self

import pytest

from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync.stage import Staging


def connect(
    monkeypatch: pytest.MonkeyPatch, center: Simulator, host: str | None = None, **extra: Any
) -> None:
    """Tell Airflow of a contact center, with further settings.

    :param center: the contact center
    :param host: a name for it other than its address
    :param extra: of the connection
    """
    connection = center.connections()["cc_management_default"]
    connection["host"] = host or connection["host"]
    connection["extra"] |= extra
    monkeypatch.setenv("AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT", json.dumps(connection))


def at_chunk(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], object]) -> None:
    """Do something when a run is about to stage its chunk of this number, once.

    :param number: from 1
    :param action: what to do
    """
    original, seen = Staging.append, 0

    def append(staging: Staging, *arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == number:
            action()
        return original(staging, *arguments)

    monkeypatch.setattr(Staging, "append", append)


class Proxy:
    """Stands between a client and PostgreSQL, and can break the connection around a commit.

    :param port: of the server
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._cut: tuple[int, str] | None = None
        self.port: int = self._listener.getsockname()[1]
        #: How many commits have been sent.
        self.commits = 0
        #: How many connections it has broken.
        self.cuts = 0

    def cut(self, commit: int, when: Literal["before", "after"]) -> None:
        """Break the connection at a commit.

        :param commit: which one, from 1
        :param when: before the server gets it, or when it is done and only the answer is missing
        """
        self._cut = (commit, when)

    def go_away(self) -> None:
        """Refuse every connection from now on, and break those that are open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break(*self._open)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.go_away()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._target)
                self._open += [client, server]
                answer_lost = threading.Event()
                for forward in (self._requests, self._answers):
                    threading.Thread(target=forward, args=(client, server, answer_lost), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, answer_lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT\0" in data:
                    self.commits += 1
                    if self._cut == (self.commits, "before"):
                        self.cuts += 1
                        break
                    if self._cut == (self.commits, "after"):
                        answer_lost.set()
                server.sendall(data)
        self._break(client, server)

    def _answers(self, client: socket.socket, server: socket.socket, answer_lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if answer_lost.is_set():
                    self.cuts += 1
                    break
                client.sendall(data)
        self._break(client, server)

    @staticmethod
    def _break(*sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
