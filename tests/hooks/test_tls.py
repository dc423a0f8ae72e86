"""Certificates: trusted by default only if known, by a CA bundle, or, with a warning, whatever they are."""

from __future__ import annotations

import warnings

import pytest
import urllib3

from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import CLIENTS, PLAIN, at_once, http, in_threads, info, says
from tests.hooks.test_connection_failures import by_aiohttp, by_requests, certify

EVERY_CLIENT = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
# A sign-in goes over requests, and would refuse before the other client had its turn.
WITHOUT_SIGN_IN = pytest.mark.parametrize("ask", [by_requests, by_aiohttp])


@EVERY_CLIENT
@pytest.mark.parametrize("verify", [True, "true", "", None])
def test_a_self_made_certificate_is_refused_by_default(cc, reconnect, ask, verify):
    reconnect("cc_management_default", extra={"verify": verify})
    with pytest.raises(CCConfigError, match=r"cc_management_default.*not trusted.*extra verify"):
        ask(CCManagementHook(), info())
    assert cc.stats.requests() == 0


@WITHOUT_SIGN_IN
@pytest.mark.parametrize(
    ("name", "days", "trusted", "said"),
    [
        ("127.0.0.1", 30, False, r"self.signed.*Set extra verify to the path of the CA bundle"),
        ("127.0.0.1", -1, True, r"expired.*Extra verify demands a valid one: renew it"),
        ("192.0.2.1", 30, True, r"mismatch.*Extra verify demands one for this host: set host"),
        ("cc.example", 30, True, r"mismatch.*Extra verify demands one for this host: set host"),
    ],
)
async def test_a_certificate_that_does_not_hold_is_refused_with_what_to_do(
    serve, connect, ask, tmp_path, monkeypatch, name, days, trusted, said
):
    files = certify(tmp_path, name, days=days)
    server = serve(says(http()), tls=files)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", files[0])
    changes = {"port": server.port, "schema": "https", "extra": {"verify": True}}
    connect("cc_management_default", PLAIN, **changes)
    with pytest.raises(CCConfigError, match=said) as refusal:
        await ask(CCManagementHook().settings)
    assert str(refusal.value).startswith("connection 'cc_management_default': the certificate of 127.0.0.1:")
    assert server.connections == 1  # not asked again and again


@WITHOUT_SIGN_IN
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_openssls_own_variables_change_nothing_in_either_client(cc, reconnect, ask, monkeypatch, name):
    reconnect("cc_management_default", extra={"verify": True})
    monkeypatch.setenv(name, cc.ca_file)
    with pytest.raises(CCConfigError, match="not trusted"):
        await ask(CCManagementHook().settings)


@EVERY_CLIENT
def test_of_two_bundles_of_the_environment_the_first_counts(cc, reconnect, ask, monkeypatch, tmp_path):
    other, _ = certify(tmp_path, "cc.example", days=30)
    reconnect("cc_management_default", extra={"verify": True})
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cc.ca_file)
    monkeypatch.setenv("CURL_CA_BUNDLE", other)
    assert ask(CCManagementHook(), info()).agent_id == 10001


@WITHOUT_SIGN_IN
async def test_and_not_the_second(cc, reconnect, ask, monkeypatch, tmp_path):
    other, _ = certify(tmp_path, "cc.example", days=30)
    reconnect("cc_management_default", extra={"verify": True})
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", other)
    monkeypatch.setenv("CURL_CA_BUNDLE", cc.ca_file)
    with pytest.raises(CCConfigError, match="not trusted"):
        await ask(CCManagementHook().settings)


@EVERY_CLIENT
def test_verify_false_stays_false_whatever_the_environment_says(cc, reconnect, ask, monkeypatch, tmp_path):
    other, _ = certify(tmp_path, "cc.example", days=30)
    reconnect("cc_management_default", extra={"verify": False})
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, other)
    assert ask(CCManagementHook(), info()).agent_id == 10001


@EVERY_CLIENT
def test_the_path_of_the_ca_bundle_makes_it_trusted(cc, management, ask):
    assert management.settings.verify == cc.ca_file
    assert ask(management, info()).agent_id == 10001


@EVERY_CLIENT
@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_so_does_the_ca_bundle_of_the_environment(cc, reconnect, ask, monkeypatch, name):
    reconnect("cc_management_default", extra={"verify": True})
    monkeypatch.setenv(name, cc.ca_file)
    assert ask(CCManagementHook(), info()).agent_id == 10001


@EVERY_CLIENT
def test_the_connections_bundle_comes_before_the_environments(cc, management, ask, monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    assert ask(management, info()).agent_id == 10001


@EVERY_CLIENT
@pytest.mark.parametrize("verify", [False, "false", "0", "no", "False"])
def test_verify_false_trusts_everything(cc, reconnect, ask, verify):
    reconnect("cc_management_default", extra={"verify": verify})
    assert ask(CCManagementHook(), info()).agent_id == 10001


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
        with pytest.raises(CCConfigError, match="extra verify must be"):
            ask(CCManagementHook())
    assert cc.stats.requests() == 0
