"""Signed names: the link that acknowledges a version, and the address that its bounces come to.

Each purpose has a key of its own, derived from one secret (HKDF, RFC 5869), so neither passes for the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
_LINK_MAC_BYTES = 16
_BOUNCE_MAC_BYTES = 8
"""Of the envelope's address, whose local part has at most 64 signs; it is guessed over SMTP or not at all."""
_LINK = re.compile(r"([0-9]{1,9})\.([a-z0-9-]{3,40})\.([0-9]{1,12})\.([A-Za-z0-9_-]{22})")
_BOUNCE = re.compile(r"b([0-9]{1,9})-([a-z2-7]{13})-([a-z0-9-]{3,40})", re.IGNORECASE)


class LinkKeyError(ValueError):
    """The file holds no secret of 32 bytes in base64."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a link is of."""

    version: int
    tenant: str
    expire_time: datetime


class Links:
    """Makes and checks signed names."""

    def __init__(self, secret: bytes, page_url: str, bounce_domain: str | None) -> None:
        self._link_key = _derived(secret, b"idv notice acknowledge")
        self._bounce_key = _derived(secret, b"idv notice bounce")
        self._page_url = page_url.rstrip("/")
        self._bounce_domain = bounce_domain

    def acknowledge_url(self, version: int, tenant: str, expire_time: datetime) -> str:
        """The link in a Customer's mail."""
        named = f"{version}.{tenant}.{int(expire_time.timestamp())}"
        return f"{self._page_url}/acknowledge/{named}.{self._link_mac(named)}"

    def acknowledged(self, token: str) -> Acknowledged | None:
        """What a link's last part is of; None for one that this service did not make. Expired ones pass."""
        parts = _LINK.fullmatch(token)
        if parts is None:
            return None
        version, tenant, expires, mac = parts.groups()
        if not hmac.compare_digest(mac, self._link_mac(f"{version}.{tenant}.{expires}")):
            return None
        return Acknowledged(int(version), tenant, datetime.fromtimestamp(int(expires), UTC))

    def bounce_address(self, version: int, tenant: str, recipient: str) -> str | None:
        """The envelope's sender of a delivery; None where bounces are not read."""
        if self._bounce_domain is None:
            return None
        mac = self._bounce_mac(version, tenant, recipient)
        return f"b{version}-{mac}-{tenant}@{self._bounce_domain}"

    def bounced(self, address: str) -> tuple[int, str, str] | None:
        """Version, Customer and mark of an address that bounces may come to; None for any other.

        `is_of` says whether the mark is right for the recipient that is on record.
        """
        local, _, domain = address.rpartition("@")
        parts = _BOUNCE.fullmatch(local)
        if parts is None or domain.lower() != (self._bounce_domain or "").lower():
            return None
        return int(parts[1]), parts[3].lower(), parts[2].lower()

    def is_of(self, version: int, tenant: str, mark: str, recipient: str) -> bool:
        """Whether the mark was made for a delivery to this recipient."""
        return hmac.compare_digest(mark, self._bounce_mac(version, tenant, recipient))

    def _link_mac(self, named: str) -> str:
        mac = hmac.digest(self._link_key, named.encode(), "sha256")[:_LINK_MAC_BYTES]
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def _bounce_mac(self, version: int, tenant: str, recipient: str) -> str:
        named = f"{version}\0{tenant}\0{recipient.lower()}".encode()
        mac = hmac.digest(self._bounce_key, named, "sha256")[:_BOUNCE_MAC_BYTES]
        return base64.b32encode(mac).decode().rstrip("=").lower()


def message_id(version: int, tenant: str, recipient: str, domain: str) -> str:
    """The Message-ID of a delivery: the same at each attempt, another for a corrected address."""
    named = f"idv notice\0{version}\0{tenant}\0{recipient.lower()}".encode()
    return f"<notice-{version}-{hashlib.sha256(named).hexdigest()[:32]}@{domain}>"


def read_secret(file: Path) -> bytes:
    """The secret in a file. Raises LinkKeyError or OSError."""
    try:
        secret = base64.b64decode(file.read_bytes().strip(), validate=True)
    except ValueError:
        secret = b""
    if len(secret) < SECRET_BYTES:
        raise LinkKeyError("the file does not hold 32 random bytes as base64")
    return secret


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)
