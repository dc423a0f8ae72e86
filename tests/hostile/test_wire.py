"""Whatever a server puts on the wire, both clients end in a right value or an exception of ours, in time."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_cc.api.management import AgentInfo
from airflow_provider_cc.api.protocol import understand
from airflow_provider_cc.exceptions import CCError, CCResponseError, CCTransientError
from airflow_provider_cc.hooks.transport import BlockingClient
from airflow_provider_cc.simulator.certificates import provide_certificates
from tests.hooks.support import OK, http, info, read_request, says
from tests.hostile.replies import bodies
from tests.hostile.support import CLIENTS, ask, to

#: The time-out of these connections, and what an answer may take on a busy machine, in seconds.
TIMEOUT, SOON = 0.5, 5.0
EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS)
INFO = "queryAgentInfoByAccount"
# Each example is a connection or two.
BY_SOCKET = settings(max_examples=settings.default.max_examples * 3 // 4)

NAMES = st.sampled_from(
    [
        "Content-Type",
        "Content-Length",
        "Transfer-Encoding",
        "Content-Encoding",
        "Connection",
        "Set-Cookie",
        "Location",
        "Retry-After",
        "Trailer",
        "Upgrade",
        "X",
        "",
        "X Y",
        "\x00",
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            "chunked",
            "gzip",
            "deflate",
            "br",
            "gzip, gzip",
            "identity",
            "close",
            "-1",
            "0",
            "1e9",
            "9" * 30,
            "CCNODE=é; Domain=example.com",
            "a=b; Expires=never",
            "=",
            "\x01",
            "h2c",
            "../..",
            "http://[::1",
        ]
    ),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30),
)
FIRST_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.0 200 OK",
        b"HTTP/2 200",
        b"HTTP/1.1 2000 OK",
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 101 Switch",
        b"HTTP/1.1 204 No",
        b"ICY 200",
        b"HTTP/1.1 407 Who",
        b"HTTP/1.1 304 Same",
        b"HTTP/1.1 999 Much",
        b"HTTP/1.1 -1 Less",
        b"\xff\xfe 200",
    ]
)


@st.composite
def wires(draw):
    """Draw what a server sends: something like HTTP."""
    first = draw(FIRST_LINES)
    body = draw(bodies(INFO))
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, None: bytes}
    encoding = draw(st.sampled_from([None, None, "gzip", "deflate"]))
    body = packed[encoding](body)
    lines = [f"Content-Encoding: {encoding}"] if encoding else []
    framing = draw(st.sampled_from(["length", "length", "chunks", "close", "wrong"]))
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    if framing == "wrong":
        lines.append(f"Content-Length: {draw(st.integers(-1, 2**65))}")
    if framing == "chunks":
        lines.append("Transfer-Encoding: chunked")
        size = draw(st.sampled_from(["%x", "%x;a=b", "0x%x", "-%x", "%xg"])) % len(body)
        body = size.encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
    lines += [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=3))]
    lines += draw(st.sampled_from([[], [], [], ["no colon at all"], [" folded"], [": nameless"]]))
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    return end.join([first, *(line.encode("latin-1") for line in lines), b"", b""]) + body


def check_outcome(outcome, begun):
    assert time.monotonic() - begun < SOON
    assert isinstance(outcome, CCError) or (type(outcome) is AgentInfo and 0 < outcome.agent_id < 2**31)
    if isinstance(outcome, CCError):
        assert outcome.__cause__ is None
        assert str(outcome).isprintable()


@pytest.mark.parametrize("schema", ["http", "https"])
@EVERY_CLIENT
def test_anything_on_the_wire(serve, certificates, client, schema):
    sent = [b""]
    files = provide_certificates(certificates)
    tls = (str(files.certificate), str(files.key)) if schema == "https" else None
    server = serve(lambda connection: says(sent[0])(connection), tls=tls)
    connection = to(server.port, schema=schema, timeout=TIMEOUT)

    @settings(BY_SOCKET)
    @given(st.one_of(wires(), wires(), st.binary(max_size=300)))
    @example(http())
    @example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2e\r\n" + OK + b"\r\n0\r\n\r\n")
    @example(b"HTTP/1.1 200 OK\r\nbroken line\r\nSet-GUID: JSESSIONID=a\r\n\r\n" + OK)
    def check(wire):
        sent[0] = wire
        begun = time.monotonic()
        check_outcome(ask(client, connection), begun)

    check()


@EVERY_CLIENT
def test_anything_in_place_of_a_tls_handshake(serve, client):
    sent = [b""]
    server = serve(lambda connection: (connection.recv(4096), connection.sendall(sent[0])))
    connection = to(server.port, schema="https", timeout=TIMEOUT)

    @settings(BY_SOCKET)
    @given(st.one_of(st.binary(max_size=100), st.binary(max_size=50).map(b"\x16\x03\x03".__add__)))
    def check(wire):
        sent[0] = wire
        begun = time.monotonic()
        outcome = ask(client, connection)
        check_outcome(outcome, begun)
        assert isinstance(outcome, CCTransientError)

    check()


# What has no end


def drip(before: bytes, byte: bytes):
    """Send something at once, and then single bytes, each well within the time-out."""

    def handle(connection):
        if read_request(connection):
            connection.sendall(before)
        for _ in range(200):
            connection.sendall(byte)
            time.sleep(0.05)

    return handle


def repeat(before: bytes, again: bytes):
    """Send something at once, and then something else without end."""

    def handle(connection):
        read_request(connection)
        connection.sendall(before)
        while True:
            connection.sendall(again)

    return handle


OPEN = b"HTTP/1.1 200 OK\r\n"


@EVERY_CLIENT
@pytest.mark.parametrize(
    "handle",
    [
        drip(b"", b"H"),
        drip(OPEN + b"X-Much: ", b"a"),
        drip(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 1", b"0"),
        drip(OPEN + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        drip(OPEN + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ", b"a"),
        drip(OPEN + b"Content-Length: 99999\r\nContent-Encoding: gzip\r\n\r\n", b"\x1f"),
        repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        repeat(OPEN, b"X-More: of it\r\n" * 1000),
        repeat(OPEN + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\3", b"a" * 65536),
    ],
    ids=[
        "first line",
        "header",
        "second head",
        "chunk size",
        "trailer",
        "gzip",
        "interim replies",
        "headers",
        "a name in gzip",
    ],
)
def test_what_has_no_end_is_ended(serve, client, handle):
    begun = time.monotonic()
    outcome = ask(client, to(serve(handle).port, timeout=TIMEOUT))
    check_outcome(outcome, begun)
    assert type(outcome) in (CCTransientError, CCResponseError)
    assert outcome.code in ("timeout", "not_http", "not_readable", "too_long")


def test_a_kept_connection_has_its_whole_time_for_every_reply(serve):
    def handle(connection):
        while read_request(connection):
            time.sleep(1.2)
            connection.sendall(http())

    server = serve(handle)
    client = BlockingClient(to(server.port, timeout=2.0))
    for _ in range(2):
        assert understand(info(), client.send(info().request)).agent_id == 7094
    assert server.connections == 1


@EVERY_CLIENT
@pytest.mark.parametrize("count", [101, 5000])
def test_thousands_of_headers(serve, client, count):
    lines = "".join(f"X-{number}: a\r\n" for number in range(count))
    begun = time.monotonic()
    outcome = ask(client, to(serve(says(http(headers=lines))).port, timeout=5))
    check_outcome(outcome, begun)


@EVERY_CLIENT
@pytest.mark.parametrize("head", ["no colon here S3cret-guid", "Set-GUID S3cret-guid", "\tS3cret-guid"])
def test_a_broken_header_is_not_logged(serve, client, head, logged):
    reply = f"{head}\r\nSet-GUID: JSESSIONID=S3cret-guid\r\n"
    outcome = ask(client, to(serve(says(http(headers=reply))).port))
    assert isinstance(outcome, CCError | AgentInfo)
    assert "S3cret-guid" not in logged.text()
    assert "S3cret-guid" not in str(outcome)
