"""Connections that the server ends when nobody looks, and a server that is restarted in mid-run."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from airflow_provider_cc.hooks import transport
from airflow_provider_cc.hooks.management import CCManagementHook
from scripts.ports import free_port
from tests.hooks.support import OK, PLAIN, TOKEN, http, info, read_request, reset
from tests.hooks.test_connection_failures import certify
from tests.transfers.meddling import connect as connect_center
from tests.transfers.test_faults import assert_all_there, everybody

TOKEN_REPLY = http(b'{"AccessToken":"a-token"}')
PATIENCE = 30


@pytest.fixture
def pauses(monkeypatch):
    """The failed tries after which a call was made again."""
    seen = []
    original = transport.pause

    def pause(error, tries):
        seen.append(error)
        return original(error, tries)

    monkeypatch.setattr(transport, "pause", pause)
    return seen


@pytest.fixture
def center_of(serve, connect, tmp_path):
    """Serve connections in a way of the test's own, over TLS or not."""

    def center_of(handle, tls):
        files = certify(tmp_path, "127.0.0.1", days=30) if tls else None
        server = serve(handle, tls=files)
        extra = {"verify": files[0]} if files else {}
        changes = {"schema": "https"} if tls else {}
        connect("cc_management_default", PLAIN, port=server.port, extra=extra, **changes)
        return server

    return center_of


def close(connection):
    connection.shutdown(socket.SHUT_RDWR)


def half_close(connection):
    """End its own direction, and go on listening."""
    connection.shutdown(socket.SHUT_WR)


EVERY_END = pytest.mark.parametrize("end", [close, half_close])
OVER_TLS_AND_NOT = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])


@EVERY_END
@OVER_TLS_AND_NOT
def test_a_kept_connection_that_ended_meanwhile_costs_no_try(center_of, pauses, end, tls):
    """Neither that of a query, nor that of a sign-in, which would be a second attempt."""
    requests, ended, over = [], threading.Semaphore(0), threading.Event()

    def handle(connection):
        while request := read_request(connection):
            requests.append(request)
            connection.sendall(TOKEN_REPLY if TOKEN.encode() in request else http(OK))
            if len(requests) != 4:  # after that sign-in the query comes too soon to see the connection end
                end(connection)
                ended.release()
                over.wait(PATIENCE)
                return

    server = center_of(handle, tls)
    hook = CCManagementHook()
    try:
        for use in (hook.sessions.sign_in, *[lambda: hook.send(info())] * 2, hook.sessions.sign_in):
            use()
            assert len(requests) == 4 or ended.acquire(timeout=PATIENCE)
        assert hook.send(info()).agent_id == 7094
    finally:
        over.set()
    assert pauses == []
    signs_in = [TOKEN.encode() in request for request in requests]
    assert signs_in == [True, False, False, True, False]
    assert server.connections == 4


@OVER_TLS_AND_NOT
def test_a_connection_that_ends_under_a_request_costs_one_try(center_of, pauses, tls):
    """The server finds it idle just when the request is on its way: queries are sent again."""
    requests = []

    def handle(connection):
        for number in range(2):
            requests.append(request := read_request(connection))
            if number:
                return reset(connection)
            lapsed = len(requests) == 5
            if TOKEN.encode() in request:
                connection.sendall(TOKEN_REPLY)
            else:
                connection.sendall(http(b"", "401 Unauthorized") if lapsed else http(OK))

    center_of(handle, tls)
    hook = CCManagementHook()
    # Signed in, query broken off, answered;
    # query broken off, 401, the query that worked broken off, query answered.
    for _ in range(2):
        assert hook.send(info()).agent_id == 7094
    signs_in = [TOKEN.encode() in request for request in requests]
    assert signs_in == [True, *[False] * 6]
    assert [error.code for error in pauses] == ["reset"] * 3


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_password_goes_over_a_new_connection(center_of, tls):
    """A server may be closing a kept one just when the password is on its way, and it is sent only once."""
    kept = []

    def handle(connection):
        for number in range(5):
            request = read_request(connection)
            if TOKEN.encode() in request:
                kept.append(number)
                connection.sendall(TOKEN_REPLY)
            else:
                connection.sendall(http(OK))

    center_of(handle, tls)
    hook = CCManagementHook()
    for _ in range(3):
        hook.sessions.sign_in()
        hook.send(info())
    assert kept == [0, 0, 0]


async def test_kept_connections_of_a_bulk_run_that_ended_meanwhile_cost_no_try(center_of, pauses):
    ended = threading.Semaphore(0)

    def handle(connection):
        request = read_request(connection)
        connection.sendall(TOKEN_REPLY if TOKEN.encode() in request else http(OK))
        close(connection)
        ended.release()

    center_of(handle, tls=False)
    async with CCManagementHook().bulk() as bulk:
        assert (await bulk.call(info())).agent_id == 7094
        assert await asyncio.to_thread(ended.acquire, timeout=PATIENCE)
        for _ in range(3):
            assert await asyncio.to_thread(ended.acquire, timeout=PATIENCE)
            await asyncio.sleep(0.05)  # for the event loop to notice
            assert (await bulk.call(info())).agent_id == 7094
    assert pauses == []


@pytest.mark.parametrize("sessions_end", [False, True], ids=["sessions kept", "sessions lost"])
def test_a_server_that_is_started_anew_in_mid_run_costs_tries_and_no_row(
    make_center, sqlite_database, sqlite_sync, do_at_chunk, monkeypatch, sessions_end
):
    center = make_center(300, port=free_port())
    connect_center(monkeypatch, center, max_concurrency=8)
    lock, down, failed = threading.Lock(), threading.Event(), []

    def stop():
        center.stop()
        down.set()

    def pause(error, tries):
        """Let it be back before the first pause has gone by."""
        with lock:
            failed.append(error.code)
            if down.is_set():
                down.clear()
                center.start()
                if sessions_end:
                    center.expire_sessions()
        return 0.01

    monkeypatch.setattr(transport, "pause", pause)
    do_at_chunk(3, stop)

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)
    assert failed
    assert set(failed) <= {"connect", "reset"}
    assert counts["sign_ins"] == (2 if sessions_end else 1)
