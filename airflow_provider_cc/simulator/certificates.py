"""The simulator's certificate authority, and its server certificate for localhost and 127.0.0.1."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = datetime.timedelta(days=365)
#: Backdated for clients whose clock is slightly behind.
_BACK_DATED = datetime.timedelta(hours=1)
_OTHER_HOST = "other.example.com"


class CertificateFiles(NamedTuple):
    """Paths of the certificates.

    :param ca: certificate of the authority, which a client must trust
    :param certificate: the server's certificate, and those that it also sends
    :param key: the server's private key
    """

    ca: Path
    certificate: Path
    key: Path


def provide_certificates(directory: Path, kind: str = "signed") -> CertificateFiles:
    """Return the certificates of a directory; create them if needed.

    The authority's private key is never written, so no further certificates can be issued in its name.

    :param directory: created if missing
    :param kind: kind of certificate, as in `Settings.certificate`; each kind has its own subdirectory
    """
    if kind != "signed":
        directory = directory / kind
    files = CertificateFiles(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    directory.mkdir(parents=True, exist_ok=True)
    if not all(path.is_file() for path in files) or _nearly_over(files.ca):
        _make(files, kind)
    return files


def _nearly_over(certificate: Path) -> bool:
    # The authority's certificate ends with the server's, unless that one is expired on purpose.
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    end = loaded.not_valid_after_utc
    return end - datetime.datetime.now(datetime.UTC) < datetime.timedelta(days=1)


def _make(files: CertificateFiles, kind: str) -> None:
    begin = datetime.datetime.now(datetime.UTC) - _BACK_DATED
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("CC simulator CA")
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), begin, begin + _LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(for_ca=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    host = _OTHER_HOST if kind == "other_host" else "localhost"
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if kind != "other_host":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    key = ec.generate_private_key(ec.SECP256R1())
    signer_key, issuer = (key, _name(host)) if kind == "self_signed" else (ca_key, ca_name)
    # Expired for an hour, to allow for different clocks.
    life = (begin - _LIFE, begin) if kind == "expired" else (begin, begin + _LIFE)
    certificate = (
        _builder(_name(host), issuer, key.public_key(), *life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(for_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # Python 3.13 verifies strictly and requires the authority's key identifier.
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()), critical=False
        )
        .sign(signer_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    shown = certificate.public_bytes(pem) + (ca.public_bytes(pem) if kind == "signed_with_ca" else b"")
    _write(files.ca, certificate.public_bytes(pem) if kind == "self_signed" else ca.public_bytes(pem))
    _write(files.certificate, shown)
    _write(
        files.key,
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, for_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not for_ca,
        key_cert_sign=for_ca,
        crl_sign=for_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
