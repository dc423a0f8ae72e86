"""What a reply of any size costs: each is asked for by a process of its own, which says what it took."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.hooks.support import Handler, http, read_request, says
from tests.hostile.support import CLIENTS

CHECKOUT = Path(__file__).resolve().parents[2]
MIB = 2**20
#: Of the longest body that is read, so much is what its reading is about.
FULL = 15 * MIB
#: CPU seconds that any of these may take.
SECONDS = 10.0


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def chunked(connection):
    """Send 100 MiB in chunks, and then go on."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"100000\r\n" + b" " * MIB + b"\r\n")


def endless(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * MIB)


def packed(body: bytes, encoding: str) -> bytes:
    return http(body, headers=f"Content-Encoding: {encoding}\r\n")


def filled(before: bytes, again: bytes, after: bytes) -> bytes:
    """Write a body that is nearly as long as one may be."""
    return http(before + again * (FULL // len(again)) + after)


def replies() -> dict[str, tuple[Handler, str | None, int]]:
    """Return what is sent, the code that it ends in (``None``: any), and the MiB that may take.

    They take half a gigabyte, so they are not built while tests are collected.
    """
    hundred = b" " * (100 * MIB)
    bomb = gzip.compress(hundred)
    return {
        "100 MiB": (says(http(hundred)), "too_long", 60),
        "chunks without end": (chunked, "too_long", 60),
        "bytes without end": (endless, "too_long", 60),
        "gzip": (says(packed(bomb, "gzip")), "too_long", 60),
        "gzip in gzip": (says(packed(gzip.compress(bomb), "gzip, gzip")), "not_readable", 10),
        "zlib": (says(packed(zlib.compress(hundred), "deflate")), "too_long", 60),
        "deflate": (says(packed(raw(hundred), "deflate")), "too_long", 60),
        "br": (says(packed(b"\x1b\xff\xff\xff" * 1000, "br")), "not_readable", 10),
        "zstd": (says(packed(b"\x28\xb5\x2f\xfd" * 1000, "zstd")), "not_readable", 10),
        "deep lists": (says(filled(b'{"returnCode":"0","data":', b"[", b"")), None, 100),
        "wide lists": (
            says(filled(b'{"returnCode":"0","data":{"workNo":[', b"[],", b"0]}}")),
            "unexpected_format",
            600,
        ),
        "many fields": (says(filled(b"{", b'"\\u00e9a%06d":1,', b'"":0}')), "missing_code", 100),
        "nested wrappers": (
            says(http(b'{"schema":' * 900 + b'"' + b"x" * FULL + b'"' + b"}" * 900)),
            None,
            150,
        ),
        "a text": (says(filled(b'{"returnCode":"1","description":"', "é\u202e".encode(), b'"}')), "1", 150),
        "a text of escapes": (
            says(filled(b'{"returnCode":"1","message":"', b"\\ud83d\\ude00", b'"}')),
            "1",
            150,
        ),
        "a code": (says(filled(b'{"returnCode":"', b"7", b'"}')), None, 150),
        "a number": (says(filled(b'{"returnCode":', b"7", b"}")), "not_json", 150),
        "a name": (says(filled(b'{"', b"n", b'":1}')), "missing_code", 150),
    }


@pytest.mark.timeout(320)
@pytest.mark.parametrize("client", CLIENTS)
def test_no_reply_costs_more_than_it_should(serve, client):
    cases = replies()
    ports = {name: serve(handle).port for name, (handle, _, _) in cases.items()}
    said = subprocess.run(
        [sys.executable, "-m", "tests.hostile.support", client, json.dumps(ports)],
        cwd=CHECKOUT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    results = json.loads(said.stdout.splitlines()[-1])
    assert results.keys() == cases.keys()
    for name, (kind, code, seconds, mebibytes) in results.items():
        _, expected, most = cases[name]
        assert kind.startswith("CC"), name
        assert expected in (None, code), (name, code)
        assert seconds < SECONDS, (name, seconds)
        assert mebibytes < most, (name, mebibytes)
