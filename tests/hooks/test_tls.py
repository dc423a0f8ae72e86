"""Certificates: trusted by default only if known, by a CA bundle, or, with a warning, whatever they are."""

from __future__ import annotations

import warnings

import pytest
import urllib3

from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import CLIENTS, at_once, in_threads, info

EVERY_CLIENT = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)


@EVERY_CLIENT
@pytest.mark.parametrize("verify", [True, "true", "", None])
def test_a_self_made_certificate_is_refused_by_default(cc, reconnect, ask, verify):
    reconnect("cc_management_default", extra={"verify": verify})
    with pytest.raises(CCConfigError, match=r"cc_management_default.*not trusted.*extra verify"):
        ask(CCManagementHook(), info())
    assert cc.stats.requests() == 0


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
