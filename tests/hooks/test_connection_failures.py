"""Why no reply came, told apart in the same words by both clients."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import time
from pathlib import Path

import aiohttp
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_cc.api import lenient
from airflow_provider_cc.api.protocol import understand
from airflow_provider_cc.exceptions import CCConfigError, CCError, CCResponseError, CCTransientError
from airflow_provider_cc.hooks import transport
from airflow_provider_cc.hooks.connection import CCSettings
from airflow_provider_cc.hooks.transport import BlockingClient, BulkClient
from tests.hooks.support import OK, http, info, read_request, reset, says, unused_port

JSON = {"Content-Type": "application/json"}


class SignedIn:
    """As much of a hook as the bulk client needs: the connection; a call of these tests needs no session."""

    current, probes = None, 0

    def __init__(self, settings):
        self.settings, self.client, self.sessions = settings, BlockingClient(settings), self


async def by_requests(settings):
    return understand(info(), BlockingClient(settings).send(signed(info())))


async def by_aiohttp(settings):
    async with BulkClient(SignedIn(settings)) as client:
        return understand(info(), await client._send(signed(info())))


def signed(call):
    return call.request.signed(JSON)


#: A sign-in goes over requests, and would fail before the other client had its turn.
WITHOUT_SIGN_IN = pytest.mark.parametrize("ask", [by_requests, by_aiohttp])


def settings(port, **changes):
    known = {"conn_id": "cc", "conn_type": "cc_management", "host": "127.0.0.1", "schema": "http"}
    return CCSettings(
        **{**known, "port": port, "login": "key", "password": "word", "extra": {}, "timeout": 0.5, **changes}
    )


async def failure_of(ask, settings):
    with pytest.raises(CCError) as failure:
        await ask(settings)
    error = failure.value
    # What the libraries raise holds the request, and with it the session.
    assert error.__cause__ is None
    assert not isinstance(error.__context__, requests.RequestException | aiohttp.ClientError)
    return type(error), getattr(error, "code", None), str(error)


@WITHOUT_SIGN_IN
async def test_a_name_that_nobody_knows(ask):
    kind, code, text = await failure_of(ask, settings(1, host="no-such-host.invalid"))
    assert (kind, code) == (CCTransientError, "dns")
    assert "no-such-host.invalid" in text


@WITHOUT_SIGN_IN
async def test_a_refused_connection(ask):
    with unused_port() as port:
        kind, code, text = await failure_of(ask, settings(port))
    assert (kind, code) == (CCTransientError, "connect")
    assert f"127.0.0.1:{port} refused the connection" in text


@WITHOUT_SIGN_IN
@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example"])
async def test_a_host_that_cannot_be(ask, host):
    kind, _, text = await failure_of(ask, settings(1, host=host))
    assert kind is CCConfigError
    assert host in text


def close_silently(connection):
    read_request(connection)


def reset_silently(connection):
    read_request(connection)
    reset(connection)


def break_off(connection):
    read_request(connection)
    connection.sendall(http()[:-5])


def break_off_by_reset(connection):
    read_request(connection)
    connection.sendall(http()[:-5])
    time.sleep(0.05)  # so that the reset does not overtake the data
    reset(connection)


def break_off_between_chunks(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + OK[:5] + b"\r\n")


def break_off_inside_a_chunk(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + OK)


@WITHOUT_SIGN_IN
@pytest.mark.parametrize(
    "handle",
    [
        close_silently,
        reset_silently,
        break_off,
        break_off_by_reset,
        break_off_between_chunks,
        break_off_inside_a_chunk,
    ],
)
async def test_a_connection_that_breaks(serve, ask, handle):
    kind, code, text = await failure_of(ask, settings(serve(handle).port))
    assert (kind, code) == (CCTransientError, "reset")
    assert "7094" not in text


def stay_silent(connection):
    read_request(connection)
    connection.recv(1)


def drip_a_body(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.05)


def drip_a_chunk(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.05)


def drip_chunks(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.05)


@WITHOUT_SIGN_IN
@pytest.mark.parametrize("handle", [stay_silent, drip_a_body, drip_a_chunk, drip_chunks])
async def test_a_reply_that_does_not_come_in_time(serve, ask, handle):
    begun = time.monotonic()
    kind, code, text = await failure_of(ask, settings(serve(handle).port))
    assert (kind, code) == (CCTransientError, "timeout")
    assert "within 0.5 s" in text
    assert time.monotonic() - begun < 4  # a hundred pieces take 5 s


# Bodies beyond the limit


def endless(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


@pytest.fixture
def small_limit(monkeypatch):
    assert lenient.MAX_BODY == transport.MAX_BODY == 16 * 1024 * 1024
    for module in (lenient, transport):
        monkeypatch.setattr(module, "MAX_BODY", 1_000_000)


@WITHOUT_SIGN_IN
@pytest.mark.parametrize(
    "handle",
    [
        endless,
        says(http(b" " * 1_000_001)),
        says(http(gzip.compress(b" " * 1_000_001), headers="Content-Encoding: gzip\r\n")),
    ],
    ids=["endless", "one byte more", "compressed"],
)
async def test_a_body_beyond_the_limit_is_cut_off(serve, ask, handle, small_limit):
    kind, code, _ = await failure_of(ask, settings(serve(handle).port, timeout=10))
    assert (kind, code) == (CCResponseError, "too_long")


@WITHOUT_SIGN_IN
async def test_a_body_at_the_limit_is_read(serve, ask, small_limit):
    reply = http(OK + b" " * (1_000_000 - len(OK)))
    assert (await ask(settings(serve(says(reply)).port, timeout=10))).agent_id == 7094


# TLS


def certify(
    directory: Path,
    name: str,
    *,
    days: int,
    since: int = 30,
    cn_only: bool = False,
    password: bytes | None = None,
) -> tuple[str, str]:
    """Make a certificate that is its own authority; one whose days are negative has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name if cn_only else "test")])
    now = datetime.datetime.now(datetime.UTC)
    try:
        known = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        known = x509.DNSName(name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=since))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if not cn_only:
        builder = builder.add_extension(x509.SubjectAlternativeName([known]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    pem, secret = directory / f"{name}.pem", directory / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    sealing = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing)
    )
    return str(pem), str(secret)


@WITHOUT_SIGN_IN
async def test_a_ca_bundle_of_the_environment_that_is_not_there(ask, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    kind, _, text = await failure_of(ask, settings(1, schema="https"))
    assert kind is CCConfigError
    assert "CA bundle" in text


@WITHOUT_SIGN_IN
async def test_what_the_caller_was_handling_is_not_taken_for_the_cause(ask):
    with unused_port() as port:
        try:
            raise TimeoutError
        except TimeoutError:
            with pytest.raises(CCTransientError) as failure:
                await ask(settings(port))
    assert failure.value.code == "connect"
