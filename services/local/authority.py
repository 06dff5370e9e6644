"""A development certificate authority: what cert-manager does in a cluster, for loopback.

It signs names that mean something only under the trust domain `idv.local`. TLS keeps real time, whatever the
application's clock says, so validity is by the machine's clock.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.local.files import write_private

TRUST_DOMAIN = "idv.local"
_AUTHORITY_LIFE = timedelta(days=730)
_LIFE = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
_BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True)
class Certificate:
    """PEM files of one identity: certificate, private key (mode 0600), and the CA that signed it."""

    certificate: Path
    private_key: Path
    authority: Path


class DevelopmentAuthority:
    """The CA of one directory. Opening makes it if it is absent or ends within a month; keys are P-256."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.certificate = directory / "ca.pem"
        key_path = directory / "ca.key"
        if not _lasts(self.certificate):
            self._make(key_path)
        self._certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_path} holds no elliptic-curve key")
        self._key = key

    def service(self, name: str) -> Certificate:
        """Certificate of an internal service or tool, to serve on loopback and to call other services."""
        names = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/service/{name}"),
        ]
        return self._issue(
            f"service-{name.replace('/', '-')}",
            names,
            [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        )

    def customer(self, customer: str) -> Certificate:
        """Client certificate of a Customer's gateway."""
        names = [x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/customer/{customer}")]
        return self._issue(f"customer-{customer}", names, [ExtendedKeyUsageOID.CLIENT_AUTH])

    def _make(self, key_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("idv development CA")
        certificate = (
            _builder(name, name, key.public_key(), _AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        # What an earlier CA of this directory signed is of no use any more.
        for path in self._directory.glob("*.pem"):
            path.unlink()
        write_private(key_path, _key_pem(key))
        write_private(self.certificate, _pem(certificate))

    def _issue(
        self, stem: str, names: Sequence[x509.GeneralName], purposes: Sequence[x509.ObjectIdentifier]
    ) -> Certificate:
        files = Certificate(
            self._directory / f"{stem}.pem", self._directory / f"{stem}.key", self.certificate
        )
        if _lasts(files.certificate):
            return files
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_name(stem), self._certificate.subject, key.public_key(), _LIFE)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(issuer_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        write_private(files.private_key, _key_pem(key))
        write_private(files.certificate, _pem(certificate))
        return files


def _lasts(path: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return False
    return certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


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


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
