"""Both clients read what curl reads, and refuse the rest for the same reason."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from typing import Any, NamedTuple

import pytest

from airflow_provider_cc.exceptions import CCError, CCResponseError, CCTransientError
from tests.hooks.support import OK, http, read_request, says
from tests.hooks.test_connection_failures import WITHOUT_SIGN_IN, by_aiohttp, by_requests, settings

AGENT = 7094


class Refused(NamedTuple):
    kind: type[CCError]
    code: str
    requests: str
    aiohttp: str


def not_http(requests: str, aiohttp: str) -> Refused:
    return Refused(CCResponseError, "not_http", f"invalid HTTP response: {requests}", aiohttp)


def not_readable(text: str) -> Refused:
    return Refused(CCResponseError, "not_readable", text, text)


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1")


def with_length(*lines: str, body: bytes = OK) -> bytes:
    return head(*lines, f"Content-Length: {len(body)}") + body


def chunks(*sizes: str, body: bytes = OK) -> bytes:
    return "".join(f"{size}\r\n" for size in sizes).encode() + body + b"\r\n0\r\n\r\n"


def encoded(encoding: str, body: bytes = OK) -> bytes:
    return with_length(f"Content-Encoding: {encoding}", body=body)


def raw(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def beside(field: bytes) -> bytes:
    """Put something broken into a field that nobody reads."""
    return http(OK[:-1] + b',"userName":' + field + b"}")


def reply_in(charset: str, name: str = "王") -> bytes:
    text = json.dumps({"returnCode": "0", "userName": name, "data": {"workNo": AGENT}}, ensure_ascii=False)
    return with_length(f"Content-Type: application/json;charset={charset}", body=text.encode(charset))


LENGTH = f"Content-Length: {len(OK)}"
HEX = f"{len(OK):x}"

#: What a server sends, and the agent ID that both clients read or the failure that both raise.
WIRE_CASES: dict[str, tuple[bytes, Any]] = {
    "nothing odd": (http(), AGENT),
    # Content-Encoding
    "encoding UTF-8": (encoded("UTF-8"), AGENT),
    "encoding identity": (encoded("identity"), AGENT),
    "encoding none": (encoded("none"), AGENT),
    "encoding br on plain JSON": (encoded("br", b" \r\n" + OK), AGENT),
    "encoding empty": (encoded(""), AGENT),
    "encoding UTF-8 with a byte order mark": (encoded("UTF-8", b"\xef\xbb\xbf" + OK), AGENT),
    "encoding br": (
        encoded("br", b"\x1b\x2c\x00\xf8"),
        not_readable("Content-Encoding 'br' is not supported"),
    ),
    "gzip": (encoded("gzip", gzip.compress(OK)), AGENT),
    "gzip by its old name": (encoded("X-GZIP", gzip.compress(OK)), AGENT),
    "gzip in members": (encoded("gzip", gzip.compress(OK[:9]) + gzip.compress(OK[9:])), AGENT),
    "gzip in 1000 members": (
        encoded("gzip", gzip.compress(b" ") * 998 + gzip.compress(OK[:9]) + gzip.compress(OK[9:])),
        AGENT,
    ),
    "gzip in too many members": (
        encoded("gzip", gzip.compress(b" ") * 1000 + gzip.compress(OK)),
        not_readable("the reply cannot be decompressed (too many gzip members)"),
    ),
    "gzip with zeros behind it": (encoded("gzip", gzip.compress(OK) + b"\0" * 512), AGENT),
    "gzip with a line break behind it": (encoded("gzip", gzip.compress(OK) + b"\r\n"), AGENT),
    "gzip cut off": (
        encoded("gzip", gzip.compress(OK)[:-9]),
        not_readable("the compressed reply is incomplete"),
    ),
    "gzip cut off in its second member": (
        encoded("gzip", gzip.compress(OK) + gzip.compress(OK)[:15]),
        not_readable("the compressed reply is incomplete"),
    ),
    "gzip that is none": (
        encoded("gzip", b"none"),
        not_readable(
            "the reply cannot be decompressed (Error -3 while decompressing data: incorrect header check)"
        ),
    ),
    "gzip in chunks": (
        head("Content-Encoding: gzip", "Transfer-Encoding: chunked")
        + b"".join(b"1\r\n%b\r\n" % bytes([byte]) for byte in gzip.compress(OK[:9]) + gzip.compress(OK[9:]))
        + b"0\r\n\r\n",
        AGENT,
    ),
    "deflate that is none": (encoded("deflate", b"none"), not_readable("the reply cannot be decompressed")),
    "zlib": (encoded("deflate", zlib.compress(OK)), AGENT),
    "raw deflate": (encoded("deflate", raw(OK)), AGENT),
    "zlib with zeros behind it": (encoded("deflate", zlib.compress(OK) + b"\0\0"), AGENT),
    # Heads
    "a header of 60 kB": (with_length("X-Policy: " + "a" * 60_000), AGENT),
    "headers of 64 kB": (with_length(*(f"X-{number}: {'a' * 2000}" for number in range(32))), AGENT),
    "cookies of 64 kB": (with_length(*(f"Set-Cookie: c{n}={'a' * 4000}" for n in range(16))), AGENT),
    "99 headers": (with_length(*(f"X-{number}: a" for number in range(98))), AGENT),
    "a header of 70 kB": (
        with_length("X-Policy: " + "S3cret" * 12_000),
        not_http(
            "got more than 65536 bytes when reading header line", "Got more than 65536 bytes when reading"
        ),
    ),
    "300 headers": (
        with_length(*(f"X-{number}: S3cret" for number in range(300))),
        not_http("got more than 100 headers", "Too many headers received"),
    ),
    "the same length twice": (head(LENGTH, "Server: x", LENGTH) + OK, AGENT),
    "the same length in two spellings": (head(LENGTH, LENGTH.upper().replace(": ", ":  ")) + OK, AGENT),
    "two lengths": (
        head(LENGTH, "Content-Length: 5") + OK,
        not_http("Content-Length contained multiple unmatching values", "Duplicate Content-Length"),
    ),
    "a length beside chunks": (head("Content-Length: 5", "Transfer-Encoding: chunked") + chunks(HEX), AGENT),
    "chunks beside a length": (head("Transfer-Encoding: chunked", LENGTH) + chunks(HEX), AGENT),
    "transfer encoding identity": (head("Transfer-Encoding: identity", LENGTH) + OK, AGENT),
    "transfer encoding identity, no length": (head("Transfer-Encoding: identity") + OK, AGENT),
    "line feeds alone": (with_length().replace(b"\r\n", b"\n"), AGENT),
    "two lengths with line feeds alone": (head(LENGTH, LENGTH).replace(b"\r\n", b"\n") + OK, AGENT),
    "two content types": (with_length("Content-Type: text/plain", "Content-Type: application/json"), AGENT),
    "an unknown reason": (b"HTTP/1.1 200 \xe6\x88\x90\r\n%b\r\n\r\n" % LENGTH.encode() + OK, AGENT),
    "no reason": (b"HTTP/1.1 200\r\n%b\r\n\r\n" % LENGTH.encode() + OK, AGENT),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", not_http("", "")),
    "a TLS alert": (b"\x15\x03\x01\x00\x02\x02\x16 no HTTP\r\n\r\n", not_http("", "")),
    "no length": (head() + OK, AGENT),
    "no HTTP": (b"S3cret\r\n\r\n", not_http("invalid status line", "Bad status line")),
    # Chunks
    "chunk size with an extension": (head("Transfer-Encoding: chunked") + chunks(f"{HEX};a=b"), AGENT),
    "chunk size in capitals with zeros": (
        head("Transfer-Encoding: chunked") + chunks(f"00{HEX.upper()}"),
        AGENT,
    ),
    "chunk size of letters": (
        head("Transfer-Encoding: chunked") + chunks("xyz", body=b'"S3cret"'),
        not_http("invalid chunk size", "Invalid character in chunk size"),
    ),
    "chunk size below zero": (
        head("Transfer-Encoding: chunked") + chunks(f"-{HEX}", body=b'"S3cret"'),
        not_http("invalid chunk size", "Invalid character in chunk size"),
    ),
    # JSON
    "charset GBK": (reply_in("GBK"), AGENT),
    "charset GBK that is UTF-8 by accident": (reply_in("GBK", "聽"), AGENT),
    "charset Big5": (reply_in("Big5"), AGENT),
    "charset unknown": (with_length("Content-Type: application/json;charset=x-none"), AGENT),
    "a byte order mark": (http(b"\xef\xbb\xbf" + OK), AGENT),
    "half a surrogate pair": (beside(b'"\\ud83d"'), AGENT),
    "raw control characters": (beside(b'"a\tb\x01\n"'), AGENT),
    "bytes of another charset": (beside("王".encode("gbk").join([b'"', b'"'])), AGENT),
    "not a number": (beside(b"NaN"), AGENT),
    "infinity": (beside(b"-Infinity"), AGENT),
    # Status
    "418": (http(b"", "418 I'm a teapot"), Refused(CCTransientError, "HTTP 418", "", "")),
    "429": (http(b"", "429 Slow down"), Refused(CCTransientError, "HTTP 429", "", "")),
}


@pytest.mark.parametrize("case", WIRE_CASES)
async def test_both_clients_read_it_alike(serve, case):
    reply, expected = WIRE_CASES[case]
    port = serve(says(reply)).port
    for ask in (by_requests, by_aiohttp):
        await check(ask, port, expected)


@WITHOUT_SIGN_IN
@pytest.mark.parametrize("case", ["the same length twice", "headers of 64 kB", "gzip in members"])
async def test_also_in_pieces(serve, ask, case):
    reply, expected = WIRE_CASES[case]
    middle = reply.index(b"\r\n\r\n") // 2
    parts = [reply[:3], reply[3:middle], reply[middle : middle * 2 + 3], reply[middle * 2 + 3 :]]

    def in_pieces(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_request(connection)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.03)

    await check(ask, serve(in_pieces).port, expected)


async def check(ask, port, expected):
    if isinstance(expected, int):
        assert (await ask(settings(port, timeout=5))).agent_id == expected
        return
    with pytest.raises(CCError) as failure:
        await ask(settings(port, timeout=5))
    error = failure.value
    assert (type(error), error.code) == expected[:2]
    assert (expected.requests if ask is by_requests else expected.aiohttp) in error.text
    assert "S3cret" not in str(error)
