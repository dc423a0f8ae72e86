"""The server's certificate: whether it is trusted, why not, and which certificate must be trusted."""

from __future__ import annotations

import datetime
import os
import ssl
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from airflow_provider_cc.doctor.examination import CheckFailed, Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.doctor.network import can_connect, connect
from airflow_provider_cc.hooks.connection import CCSettings

#: Days before the end of a certificate when the check starts to warn.
_SOON = 14

# OpenSSL's numbers (X509_V_ERR_…), for which the module ssl has no names.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_CHAIN, _NO_ISSUER, _NO_FIRST = 9, 10, 18, 19, 20, 21
_OTHER_NAME, _OTHER_ADDRESS = 62, 64
_REASONS = {
    _NOT_YET_VALID: "it is not valid yet",
    _EXPIRED: "it has expired",
    _SELF_SIGNED: "it is self-signed",
    _SELF_SIGNED_CHAIN: "its authority is unknown here",
    _NO_ISSUER: "its authority is unknown here",
    _NO_FIRST: "its authority is unknown here",
    _OTHER_NAME: "it is issued to another host",
    _OTHER_ADDRESS: "it is issued to another host",
}
_REMEDIES = {
    _NOT_YET_VALID: "Compare the clocks. No extra helps.",
    _EXPIRED: "The contact center must renew it. No extra helps.",
    _OTHER_NAME: "Set host, or extra server_name, to a name that the certificate is issued to.",
    _OTHER_ADDRESS: "Set host, or extra server_name, to a name that the certificate is issued to.",
}


def check_certificate(exam: Examination) -> None:
    """Make the same TLS handshake as the hook. If it fails, report why and what to trust.

    :raises CheckFailed: the certificate is not trusted, so no credential may be sent
    """
    settings = exam.settings
    if settings.schema == "http":
        exam.note(
            "tls",
            Verdict.WARN,
            "schema is http: passwords are sent unencrypted",
            advice="Set schema to https.",
        )
        return
    if not can_connect(settings):
        exam.note("tls", Verdict.SKIPPED, "the certificate cannot be seen through this proxy")
        return
    checked = replace(settings, verify=True) if settings.verify is False else settings
    try:
        failure = _refusal(settings, checked.ssl_context())
        chain = _shown(settings)
    except OSError as error:
        exam.fail(
            "tls",
            f"no TLS at port {settings.port}",
            private=type(error).__name__,
            advice="Check port and schema.",
        )
    if failure is None:
        _report_trusted(exam, chain[0])
        return
    _report_untrusted(exam, failure, chain)
    if settings.verify is not False:
        raise CheckFailed


def _report_trusted(exam: Examination, leaf: x509.Certificate) -> None:
    days = (leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days
    seen = f"trusted; expires in {days} days"
    if exam.settings.verify is False:
        exam.note(
            "tls",
            Verdict.WARN,
            f"verify is false, although the certificate can be verified: {seen}",
            advice="Set extra verify to true.",
            extra={"verify": True},
        )
    else:
        exam.note("tls", Verdict.WARN if days < _SOON else Verdict.OK, seen)


def _report_untrusted(
    exam: Examination, failure: ssl.SSLCertVerificationError, chain: list[x509.Certificate]
) -> None:
    settings = exam.settings
    root = chain[-1]
    # An authority's certificate, or a self-signed one, can be trusted by itself. Try it before suggesting it.
    left = _refusal(settings, ssl.create_default_context(cadata=_pem(root)))
    hopeless = next((one for one in (failure, left) if one and one.verify_code in _REMEDIES), None)
    seen = f"not trusted: {_reason(hopeless or failure)}; {len(chain)} certificate(s) sent"
    private = f"issued by {root.issuer.rfc4514_string()}, for {', '.join(_names(chain[0])) or 'no host'}"
    extra: dict[str, Any] = {}
    if hopeless is not None:
        advice = _REMEDIES[hopeless.verify_code]
    elif left is not None:
        advice = (
            "The server does not send its authority's certificate. Ask the contact center's administrator "
            "for it, and set extra verify to its path."
        )
    elif exam.save_ca is None:
        advice = (
            "Run the check with --save-ca FILE: it saves the certificate to trust and shows its fingerprint."
        )
    else:
        _save(exam.save_ca, root)
        exam.saved = fingerprint(root)
        private += f"; SHA-256 of the saved certificate: {exam.saved}"
        extra = {"verify": str(exam.save_ca.absolute())}
        advice = (
            "Ask the contact center's administrator for the SHA-256 fingerprint of the certificate. "
            "If it is the same, set extra verify to the saved file, on every worker."
        )
    verdict = Verdict.FAIL
    if settings.verify is False:
        verdict, seen = Verdict.WARN, f"verify is false; {seen}"
    exam.note("tls", verdict, seen, private=private, advice=advice, extra=extra)


def _refusal(settings: CCSettings, context: ssl.SSLContext) -> ssl.SSLCertVerificationError | None:
    """Make only a handshake; return why the certificate is rejected, or ``None``."""
    with connect(settings) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=settings.server_name or settings.host):
                return None
        except ssl.SSLCertVerificationError as error:
            return error


def _shown(settings: CCSettings) -> list[x509.Certificate]:
    """Return the certificates that the server sends, its own first, without trusting them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent over this connection
    with (
        connect(settings) as raw,
        context.wrap_socket(raw, server_hostname=settings.server_name or settings.host) as tls,
    ):
        if sys.version_info >= (3, 13):
            return [x509.load_der_x509_certificate(shown) for shown in tls.get_unverified_chain()]
        # Public only since Python 3.13.
        shown = getattr(tls, "_sslobj").get_unverified_chain()  # noqa: B009 - not in the type stubs
        return [x509.load_pem_x509_certificate(one.public_bytes().encode()) for one in shown]


def fingerprint(certificate: x509.Certificate) -> str:
    """Return a certificate's SHA-256 fingerprint in the usual notation.

    :param certificate: the certificate
    """
    return certificate.fingerprint(SHA256()).hex(":").upper()


def _save(path: Path, certificate: x509.Certificate) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
        file.write(_pem(certificate))


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names]


def _reason(failure: ssl.SSLCertVerificationError) -> str:
    return _REASONS.get(failure.verify_code, failure.verify_message)
