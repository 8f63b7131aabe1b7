"""The federation's own certificate authority: one authority, one certificate for the broker.

Keys are ECDSA P-256; the authority lives ten years and its certificate is in every invitation, so
that nothing else is ever trusted. The broker's certificate is written anew before it expires.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedpet.errors import StoreError

AUTHORITY_DAYS, SERVER_DAYS, RENEW_DAYS = 3650, 365, 30
SKEW = timedelta(hours=2)


class Authority:
    """The authority's files in a folder; made when there are none yet.

    Args:
        folder: For `authority.pem`, `authority.key`, `server.pem` and `server.key`.

    Raises:
        StoreError: If they are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / "authority.pem"
        folder.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self._create()
        self.pem = self.path.read_text(encoding="ascii")
        try:
            self._certificate = x509.load_pem_x509_certificate(self.pem.encode())
        except ValueError as error:
            raise StoreError(
                "The certificate of the federation's authority is damaged.",
                do="Restore it: fedpet coordinator restore BACKUP FOLDER",
            ) from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the authority's certificate in hexadecimal."""
        return fingerprint(self.pem)

    def server(self, names: tuple[str, ...]) -> tuple[Path, Path]:
        """Return certificate and key of the broker; make them where they are due.

        Args:
            names: Host names and IP addresses by which members reach it.
        """
        certificate, key = self._folder / "server.pem", self._folder / "server.key"
        if self.days_left(names) < RENEW_DAYS:
            self._sign(names, certificate, key)
        return certificate, key

    def days_left(self, names: tuple[str, ...]) -> float:
        """Return for how many days the broker's certificate holds; 0 if it bears other names."""
        path = self._folder / "server.pem"
        if not path.exists():
            return 0.0
        found = x509.load_pem_x509_certificate(path.read_bytes())
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if set(alternatives) != set(_alternatives(names)):
            return 0.0
        return (found.not_valid_after_utc - datetime.now(UTC)).total_seconds() / 86_400

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedpet federation authority")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_key(self._folder / "authority.key", key)
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, names: tuple[str, ...], certificate: Path, key_path: Path) -> None:
        pem = (self._folder / "authority.key").read_bytes()
        authority = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(authority, ec.EllipticCurvePrivateKey):
            raise StoreError("The key of the federation's authority is damaged.")
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
        signed = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + timedelta(days=SERVER_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(authority, hashes.SHA256())
        )
        _write_key(key_path, key)
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def fingerprint(pem: str) -> str:
    """Return the SHA-256 of a certificate in hexadecimal.

    Raises:
        StoreError: If the text is no certificate.
    """
    try:
        der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER)
    except ValueError as error:
        raise StoreError("This is no certificate.", code="FP-3051") from error
    return hashlib.sha256(der).hexdigest()


def _alternatives(names: tuple[str, ...]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
