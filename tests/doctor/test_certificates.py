"""Certificates that are not trusted: why, what to trust instead, and no credential sent meanwhile."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from tests.doctor.support import MANAGEMENT


@pytest.fixture
def shown(start, connect):
    """A center that shows a certificate of a kind, to a connection that trusts the public authorities."""

    def shown(kind, **extra):
        cc = start(agents=3, record=True, certificate=kind)
        connect(MANAGEMENT, cc.connections()[MANAGEMENT], extra={"verify": True, **extra})
        return cc

    return shown


def test_an_authority_that_is_sent_can_be_saved_and_trusted(shown, connect, examine, tmp_path):
    cc, saved = shown("signed_with_ca"), tmp_path / "ca.pem"

    examined = examine()
    assert examined.verdict("tls") == "fail"
    assert "authority is unknown" in examined.findings["tls"].seen
    assert "--save-ca" in examined.findings["tls"].advice

    examined = examine(MANAGEMENT, saved)
    assert examined.verdict("tls") == "fail"
    assert examined.findings["tls"].extra == {"verify": str(saved)}
    assert saved.read_text() == Path(cc.ca_file).read_text()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(saved.read_text())).digest().hex(":").upper()
    assert digest in examined.findings["tls"].private
    assert cc.stats.requests() == 0

    connect(MANAGEMENT, cc.connections()[MANAGEMENT], extra=examined.findings["tls"].extra)
    assert examine().verdict("tls") == "ok"
    assert cc.stats.sign_ins() == 1


def test_an_authority_that_is_not_sent_has_to_be_asked_for(shown, examine, tmp_path):
    shown("signed")
    examined = examine(MANAGEMENT, tmp_path / "ca.pem")
    assert examined.verdict("tls") == "fail"
    assert "authority" in examined.findings["tls"].seen
    trusted = bool(examined.findings["tls"].extra)
    # From Python 3.13 on, a certificate that is trusted needs no authority.
    assert trusted == bool(ssl.create_default_context().verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN)
    assert trusted or "Ask the contact center's administrator" in examined.findings["tls"].advice
    assert (tmp_path / "ca.pem").exists() == trusted


def test_a_self_signed_certificate_can_be_saved(shown, connect, examine, tmp_path):
    cc, saved = shown("self_signed"), tmp_path / "leaf.pem"
    examined = examine(MANAGEMENT, saved)
    assert "self-signed" in examined.findings["tls"].seen
    assert examined.findings["tls"].extra == {"verify": str(saved)}
    connect(MANAGEMENT, cc.connections()[MANAGEMENT], extra={"verify": str(saved)})
    assert examine(MANAGEMENT).verdict("page_size") == "ok"


@pytest.mark.parametrize(
    ("kind", "seen", "advice"),
    [("expired", "expired", "renew"), ("other_host", "another host", "Set host, or extra server_name")],
)
def test_what_no_extra_can_heal(start, examine, tmp_path, kind, seen, advice):
    cc = start(agents=3, record=True, certificate=kind)
    examined = examine(MANAGEMENT, tmp_path / "ca.pem")
    assert examined.verdict("tls") == "fail"
    assert seen in examined.findings["tls"].seen
    assert advice in examined.findings["tls"].advice
    assert examined.findings["tls"].extra == {}
    assert not (tmp_path / "ca.pem").exists()
    assert examined.verdict("unauthenticated_request") == examined.verdict("sign_in") == "skipped"
    assert cc.stats.requests() == 0


def test_names_of_other_hosts_stay_out_of_the_report(start, examine):
    start(agents=3, certificate="other_host")
    examined = examine()
    assert "other.example.com" in examined.table
    assert "other.example.com" not in examined.report


@pytest.mark.parametrize("kind", ["signed_with_ca", "other_host"])
def test_verify_false_is_warned_of_with_what_would_be_found(shown, examine, kind):
    cc = shown(kind, verify=False)
    examined = examine()
    assert examined.verdict("tls") == "warn"
    assert "verify is false" in examined.findings["tls"].seen
    assert examined.verdict("sign_in") == "ok"
    assert cc.stats.sign_ins() == 1


def test_verify_false_where_it_could_be_checked(start, connect, examine, monkeypatch):
    cc = start(agents=3)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cc.ca_file)
    connect(MANAGEMENT, cc.connections()[MANAGEMENT], extra={"verify": False})
    examined = examine()
    assert examined.verdict("tls") == "warn"
    assert examined.findings["tls"].extra == {"verify": True}


def test_no_tls_at_all(start, examine):
    start(agents=3, tls=False)
    assert examine().verdict("tls") == "warn"


def test_tls_to_a_port_that_speaks_none(start, connect, examine):
    cc = start(agents=3, tls=False)
    connect(MANAGEMENT, cc.connections()[MANAGEMENT], schema="https")
    examined = examine()
    assert examined.verdict("tls") == "fail"
    assert "no TLS" in examined.findings["tls"].seen
    assert cc.stats.requests("tokenByAkSk") == 0
