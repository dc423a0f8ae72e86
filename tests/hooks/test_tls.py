"""Certificates: trusted by default only if known, by a CA bundle, or, with a warning, whatever they are."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import urllib3

from airflow_provider_cc.exceptions import CCConfigError, CCSessionRefused, CCTransientError
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import (
    EVERY_CLIENT,
    OK,
    PLAIN,
    at_once,
    http,
    in_threads,
    info,
    proxy,
    read_request,
    says,
)
from tests.hooks.test_connection_failures import WITHOUT_SIGN_IN, by_aiohttp, by_requests, certify

# What a server does, and what both clients say


class Site(NamedTuple):
    """A server's certificate and TLS settings, the connection's extras, and the outcome.

    :param said: what the failure says; ``None`` for a reply
    :param name: the name in the certificate
    :param days: how long it is still valid
    :param since: when it became valid, in days before now
    :param cn_only: whether it has a common name only
    :param known: whether ``verify`` names its authority
    :param version: the only TLS version of the server
    :param wants: whose certificate the server asks for
    :param has: whose certificate the connection has
    :param server_name: the extra
    """

    said: str | None = None
    name: str = "127.0.0.1"
    days: int = 30
    since: int = 30
    cn_only: bool = False
    known: bool = True
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    wants: str | None = None
    has: str | None = None
    server_name: str | None = None


OLD, TWO = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2
NAME = "Set extra server_name to the name that the certificate is issued to"
WANTED = "client certificate.*extra client_cert"
SITES = {
    "trusted": Site(),
    "unknown authority": Site(r"self.signed.*Set extra verify to the path of the CA bundle", known=False),
    "expired": Site("expired.*Renew the certificate on the server", days=-1),
    "not yet valid": Site("not yet valid.*check this machine's clock", days=60, since=-30),
    "another name": Site(f"mismatch.*{NAME}", name="cc.example"),
    "another address": Site(f"mismatch.*{NAME}", name="192.0.2.1"),
    "another name that is set": Site(name="cc.example", server_name="cc.example"),
    "another address that is set": Site(name="192.0.2.1", server_name="192.0.2.1"),
    "a name that is set wrong": Site(f"mismatch.*{NAME}", name="cc.example", server_name="x.example"),
    "a common name only": Site(f"mismatch.*{NAME}", name="cc.example", cn_only=True),
    "a common name that is set": Site(name="cc.example", cn_only=True, server_name="cc.example"),
    "TLS 1.2": Site(version=TWO),
    "TLS 1.1": Site("no common TLS version.*update the server", version=OLD),
    "client certificate missing, TLS 1.3": Site(WANTED, wants="we.example"),
    "client certificate missing, TLS 1.2": Site(WANTED, wants="we.example", version=TWO),
    "client certificate, TLS 1.3": Site(wants="we.example", has="we.example"),
    "client certificate, TLS 1.2": Site(wants="we.example", has="we.example", version=TWO),
    "client certificate unknown, TLS 1.3": Site(
        "rejected the certificate in extra client_cert", wants="we.example", has="they.example"
    ),
    "client certificate unknown, TLS 1.2": Site(
        "rejected the certificate in extra client_cert",
        wants="we.example",
        has="they.example",
        version=TWO,
    ),
}


@pytest.fixture
def clients_certificates(tmp_path):
    """Certificates by name, each in one file with its key."""
    files = {}
    for name in ("we.example", "they.example"):
        pem, key = certify(tmp_path, name, days=30)
        files[name] = tmp_path / f"{name}.both.pem"
        files[name].write_text(Path(pem).read_text() + Path(key).read_text())
    return files


def speaking(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            says(http())(tls)

    return handle


@pytest.mark.parametrize("site", SITES)
async def test_a_site_is_reached_or_the_failure_says_what_to_set(
    serve, connect, tmp_path, clients_certificates, site
):
    site = SITES[site]
    files = certify(tmp_path, site.name, days=site.days, since=site.since, cn_only=site.cn_only)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(*files)
    with warnings.catch_warnings(action="ignore"):  # Python's about TLS 1.1
        context.minimum_version = context.maximum_version = site.version
    if site.wants:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_certificates[site.wants])
    extra = {
        "verify": files[0] if site.known else True,
        "server_name": site.server_name,
        "client_cert": str(clients_certificates[site.has]) if site.has else None,
    }
    for ask in (by_requests, by_aiohttp):
        server = serve(speaking(context))
        connect("cc_management_default", PLAIN, port=server.port, schema="https", extra=extra)
        settings = CCManagementHook().settings
        if site.said is None:
            assert (await ask(settings)).agent_id == 7094
            continue
        with pytest.raises(CCConfigError, match=site.said) as failure:
            await ask(settings)
        assert f"127.0.0.1:{server.port}" in str(failure.value)
        assert str(failure.value).startswith("connection 'cc_management_default': ")
        assert server.connections == 1  # not tried again and again


@EVERY_CLIENT
def test_the_server_is_asked_for_by_its_server_name(start, ask, serve, connect, tmp_path):
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certify(tmp_path, "cc.example", days=30))
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def handle(connection):
        with context.wrap_socket(connection, server_side=True) as tls:
            signs_in = b"tokenByAkSk" in read_request(tls)
            tls.sendall(http(b'{"AccessToken":"a-token"}' if signs_in else OK))

    extra = {"verify": str(tmp_path / "cc.example.pem"), "server_name": "cc.example"}
    connect("cc_management_default", PLAIN, port=serve(handle).port, schema="https", extra=extra)
    assert ask(CCManagementHook(), info()).agent_id == 7094
    assert names == ["cc.example"] * 2


def test_another_hosts_tokens_are_not_asked_for_by_that_name(start, cc, reconnect, serve, tmp_path):
    tokens = start()
    url = f"{tokens.url}/apigovernance/api/oauth/tokenByAkSk"
    extra = {"token_url": url, "server_name": "cc.example"}
    reconnect("cc_management_default", extra=extra)
    assert CCManagementHook().sessions.sign_in()
    assert tokens.stats.sign_ins() == 1


@WITHOUT_SIGN_IN
async def test_a_tunnel_leads_to_the_server_name_too(serve, connect, ask, tmp_path, monkeypatch):
    files = certify(tmp_path, "cc.example", days=30)
    server = serve(says(http()), tls=files)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{serve(proxy([])).port}")
    extra = {"verify": files[0], "server_name": "cc.example"}
    connect("cc_management_default", PLAIN, port=server.port, schema="https", extra=extra)
    assert (await ask(CCManagementHook().settings)).agent_id == 7094


@WITHOUT_SIGN_IN
async def test_a_port_that_speaks_no_tls(serve, connect, ask):
    server = serve(lambda connection: (connection.recv(10), connection.sendall(http(b"", "400 Bad"))))
    connect("cc_management_default", PLAIN, port=server.port, schema="https")
    with pytest.raises(CCTransientError, match="check the connection's schema and port") as failure:
        await ask(CCManagementHook().settings)
    assert failure.value.code == "tls"


@WITHOUT_SIGN_IN
async def test_a_port_that_speaks_only_tls(cc, reconnect, ask):
    reconnect("cc_management_default", schema="http")
    with pytest.raises(CCTransientError, match="if this port expects TLS, set schema to https") as failure:
        await ask(CCManagementHook().settings)
    assert failure.value.code == "reset"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "No such file"),
        ("garbage", "cannot be read"),
        ("no key", "cannot be read"),
        ("another key", "KEY_VALUES_MISMATCH"),
        ("locked", "cannot be read"),
    ],
)
def test_a_client_certificate_that_cannot_be_used_is_a_config_error(connect, tmp_path, kind, said):
    pem, key = certify(tmp_path, "we.example", days=30, password=b"secret" if kind == "locked" else None)
    _, other = certify(tmp_path, "they.example", days=30)
    pem, key, other = (Path(name).read_text() for name in (pem, key, other))
    parts = {"garbage": "no certificate", "no key": pem, "another key": pem + other, "locked": pem + key}
    path = tmp_path / "client.pem"
    if kind in parts:
        path.write_text(parts[kind])
    connect("cc_management_default", PLAIN, extra={"client_cert": str(path)})
    with pytest.raises(CCConfigError, match=f"extra client_cert: client certificate.*{said}.*one PEM file"):
        _ = CCManagementHook().settings


def test_a_tilde_is_the_home_directory(connect, tmp_path, monkeypatch, clients_certificates):
    certify(tmp_path, "cc.example", days=30)
    monkeypatch.setenv("HOME", str(tmp_path))
    extra = {"verify": "~/cc.example.pem", "client_cert": "~/we.example.both.pem"}
    connect("cc_management_default", PLAIN, extra=extra)
    settings = CCManagementHook().settings
    assert settings.verify == f"{tmp_path}/cc.example.pem"
    assert settings.client_cert == f"{tmp_path}/we.example.both.pem"


# Authorities


class Trust(NamedTuple):
    """What the connection and the environment name as known authorities: the center's, others, or none."""

    trusted: bool
    verify: bool | str = True
    requests_ca_bundle: str | None = None
    curl_ca_bundle: str | None = None
    openssls: str | None = None


@WITHOUT_SIGN_IN
@pytest.mark.parametrize(
    "trust",
    [
        Trust(trusted=False),
        Trust(trusted=False, openssls="center"),
        Trust(trusted=True, requests_ca_bundle="center", curl_ca_bundle="others"),
        Trust(trusted=False, requests_ca_bundle="others", curl_ca_bundle="center"),
        Trust(trusted=True, curl_ca_bundle="center"),
        Trust(trusted=True, verify="center", requests_ca_bundle="/no/such/bundle.pem"),
        Trust(trusted=True, verify=False, requests_ca_bundle="others", curl_ca_bundle="others"),
    ],
)
async def test_a_center_is_trusted_for_the_connection_or_the_environment(
    cc, reconnect, ask, monkeypatch, tmp_path, trust
):
    files = {"center": cc.ca_file, "others": certify(tmp_path, "cc.example", days=30)[0]}
    reconnect("cc_management_default", extra={"verify": files.get(trust.verify, trust.verify)})
    for name, value in {
        "REQUESTS_CA_BUNDLE": trust.requests_ca_bundle,
        "CURL_CA_BUNDLE": trust.curl_ca_bundle,
        "SSL_CERT_FILE": trust.openssls,
        "SSL_CERT_DIR": trust.openssls,
    }.items():
        if value is not None:
            monkeypatch.setenv(name, files.get(value, value))
    if trust.trusted:
        with pytest.raises(CCSessionRefused, match="HTTP 401"):  # the center, which wants a session
            await ask(CCManagementHook().settings)
        return
    with pytest.raises(CCConfigError, match="not trusted"):
        await ask(CCManagementHook().settings)
    assert cc.stats.requests() == 0


def test_verify_false_warns_once_and_only_in_our_words(cc, reconnect, logged):
    reconnect("cc_management_default", extra={"verify": False})
    hook = CCManagementHook()
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        hook.send(info())
        in_threads(hook, [info() for _ in range(10)])
        at_once(hook, [info() for _ in range(10)])
    assert logged.times("cc_management_default has verify=false") == 1
    assert [str(other.message) for other in others if "HTTPS" in str(other.message)] == []


def test_verify_false_leaves_the_warnings_of_others_alone(cc, reconnect):
    reconnect("cc_management_default", extra={"verify": False})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        in_threads(CCManagementHook(), [info() for _ in range(20)])
        warnings.warn("somebody else's", urllib3.exceptions.InsecureRequestWarning, stacklevel=1)
    assert [str(warning.message) for warning in seen if "somebody" in str(warning.message)] == [
        "somebody else's"
    ]


@pytest.mark.parametrize("content", [None, "this is no certificate"])
def test_a_ca_bundle_that_cannot_be_read_is_a_config_error(cc, reconnect, tmp_path, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    reconnect("cc_management_default", extra={"verify": str(bundle)})
    for ask in (lambda hook: hook.send(info()), lambda hook: hook.bulk(), lambda hook: hook.settings):
        with pytest.raises(CCConfigError, match=r"extra verify: the CA bundle .* cannot be read"):
            ask(CCManagementHook())
    assert cc.stats.requests() == 0
