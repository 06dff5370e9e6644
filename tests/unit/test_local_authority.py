"""Certificates of the local stack: exactly one identity each, on loopback names only."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.local.authority import Certificate, DevelopmentAuthority
from services.runtime import setting_checks


@pytest.fixture
def authority(tmp_path: Path) -> DevelopmentAuthority:
    return DevelopmentAuthority(tmp_path)


def _read(files: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.certificate.read_bytes())


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_service_is_named_by_one_uri_and_the_loopback_names(authority: DevelopmentAuthority) -> None:
    names = _names(_read(authority.service("storage")))
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://idv.local/service/storage"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]


def test_a_customer_is_named_by_one_uri_and_cannot_serve(authority: DevelopmentAuthority) -> None:
    certificate = _read(authority.customer("acme"))
    assert list(_names(certificate)) == [x509.UniformResourceIdentifier("spiffe://idv.local/customer/acme")]
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_certificates_chain_to_the_authority_and_fit_their_keys(authority: DevelopmentAuthority) -> None:
    files = authority.service("ingest")
    root = x509.load_pem_x509_certificate(files.authority.read_bytes())
    _read(files).verify_directly_issued_by(root)
    setting_checks.certificate_pair(files.certificate, files.private_key, files.authority)


def test_a_certificate_cannot_sign_another(authority: DevelopmentAuthority) -> None:
    certificate = _read(authority.service("ingest"))
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_private_keys_are_closed_to_other_users(authority: DevelopmentAuthority, tmp_path: Path) -> None:
    authority.service("ingest")
    keys = list(tmp_path.glob("*.key"))
    assert {path.name for path in keys} == {"ca.key", "service-ingest.key"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)


def test_a_second_opening_keeps_what_the_first_made(tmp_path: Path) -> None:
    first = DevelopmentAuthority(tmp_path).service("notice").certificate.read_bytes()
    assert DevelopmentAuthority(tmp_path).service("notice").certificate.read_bytes() == first


def test_certificates_near_their_end_are_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.local.authority._LIFE", timedelta(days=20))
    authority = DevelopmentAuthority(tmp_path)
    authority.service("notice")
    monkeypatch.undo()
    renewed = _read(authority.service("notice"))
    assert renewed.not_valid_after_utc - datetime.now(UTC) > timedelta(days=300)
