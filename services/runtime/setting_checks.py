"""Checks of single settings: each says what is wrong and what to do, and never quotes a secret."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from services.runtime.keysets import KeysUnavailableError, parse_jwks

_ENCODING = serialization.Encoding.DER
_FORMAT = serialization.PublicFormat.SubjectPublicKeyInfo


def fault(problem: str, remedy: str) -> PydanticCustomError:
    """An error for pydantic to collect; `remedy` reaches the Fault."""
    return PydanticCustomError("idv", "{problem}", {"problem": problem, "remedy": remedy})


def readable_file(path: Path) -> Path:
    """Lets a readable file pass."""
    if not path.is_file():
        raise fault(f"there is no file {path}", "create it or correct the path")
    if not os.access(path, os.R_OK):
        raise fault(f"{path} cannot be read by this process", "allow its user to read it")
    return path


def writable_directory(path: Path) -> Path:
    """Lets a writable folder pass."""
    if not path.is_dir():
        raise fault(f"there is no folder {path}", "create it or correct the path")
    if not os.access(path, os.W_OK | os.X_OK):
        raise fault(f"{path} cannot be written by this process", "allow its user to write it")
    return path


def address(value: str) -> str:
    """Lets `host:port` pass."""
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise fault("this is no address of the form host:port", "write for example 0.0.0.0:8443")
    return value


def postgres_dsn(value: SecretStr) -> SecretStr:
    """Lets `postgresql://user:password@host:port/database` pass."""
    try:
        parts = urlsplit(value.get_secret_value())
        complete = parts.hostname and parts.username and parts.path.strip("/") and (parts.port or 5432)
    except ValueError:
        complete = None
        parts = urlsplit("")
    if parts.scheme not in ("postgresql", "postgres") or not complete:
        raise fault(
            "this is no complete PostgreSQL address", "write postgresql://user:password@host:port/database"
        )
    return value


def jwks_source(value: str) -> str:
    """Lets an http(s) URL pass, or a readable file that holds a JWKS of public keys."""
    if "://" in value:
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise fault("this is no https address", "write for example https://id.example.com/jwks.json")
        return value
    path = readable_file(Path(value))
    try:
        parse_jwks(path.read_bytes())
    except KeysUnavailableError as error:
        raise fault(f"{path} cannot be used: {error}", "write the issuer's public keys as a JWKS") from None
    return value


def certificate_pair(certificate: Path, private_key: Path, authority: Path) -> None:
    """Raises a fault unless key, certificate and authority are what they should be and belong together."""
    chain = _certificates(certificate)
    try:
        key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    except (ValueError, TypeError, OSError):
        raise fault(
            f"{private_key} holds no unencrypted PEM private key", "export the key without a password"
        ) from None
    if key.public_key().public_bytes(_ENCODING, _FORMAT) != chain[0].public_key().public_bytes(
        _ENCODING, _FORMAT
    ):
        raise fault(
            f"{private_key} is not the key of {certificate}",
            "give the key that the certificate was issued for",
        )
    if chain[0].not_valid_after_utc <= datetime.now(UTC):  # TLS keeps the time of the machine
        raise fault(f"{certificate} is past its end", "renew it")
    _certificates(authority)


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (ValueError, OSError):
        raise fault(
            f"{path} holds no PEM certificate", "give a PEM file with the certificate chain"
        ) from None
