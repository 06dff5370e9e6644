"""Signs mails (DKIM, RFC 6376 and 8463): who receives one can check that it came from our domain unchanged.

Each key signs every mail with a signature of its own. While one is replaced, or beside an RSA key that every
receiver knows, a receiver takes the one that it can check.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.runtime.clock import Clock

LEAST_BITS = 2048
_SIGNED = (
    *("from", "to", "subject", "date", "message-id", "auto-submitted", "content-language"),
    *("mime-version", "content-type", "reply-to", "cc"),
)
"""Fields that are signed. A field that a mail lacks is named all the same: nobody can add it unnoticed."""
_FOLDED = re.compile(rb"[ \t]*\r\n[ \t]+|[ \t]+")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\r]|\r\n[ \t])*)\r\n")


class SigningKeyError(Exception):
    """A file that holds no usable key; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and where its public part stands in DNS: `selector._domainkey.domain`."""

    selector: str
    domain: str
    key: RSAPrivateKey | Ed25519PrivateKey

    @property
    def algorithm(self) -> str:
        """The tag `a=`."""
        return "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"

    def sign(self, data: bytes) -> bytes:
        """The signature of data; Ed25519 signs its SHA-256 (RFC 8463)."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(data, PKCS1v15(), SHA256())
        return self.key.sign(hashlib.sha256(data).digest())


class MailSigner:
    """Signs mails whose lines end in CRLF; without keys it returns them as they are."""

    def __init__(self, keys: Sequence[SigningKey], clock: Clock) -> None:
        self._keys = tuple(keys)
        self._clock = clock

    def __call__(self, mail: bytes) -> bytes:
        """The mail with a `DKIM-Signature` of each key before it."""
        if not self._keys:
            return mail
        head, _, body = mail.partition(b"\r\n\r\n")
        fields = [(name.lower(), value) for name, value in _FIELD.findall(head + b"\r\n")]
        digest = base64.b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()
        now = self._clock.now()
        return b"".join(self._signature(key, fields, digest, now) for key in self._keys) + mail

    def _signature(
        self, key: SigningKey, fields: Sequence[tuple[bytes, bytes]], digest: str, now: datetime
    ) -> bytes:
        unsigned = (
            f" v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain}; s={key.selector};\r\n"
            f" t={int(now.timestamp())}; h={':'.join(_SIGNED[:6])}:\r\n"
            f"  {':'.join(_SIGNED[6:])};\r\n bh={digest};\r\n b="
        ).encode()
        last = dict(fields)  # each field stands once: what comes second would be signed first
        covered = b"".join(
            _relaxed_field(name, last[name]) + b"\r\n" for name in map(str.encode, _SIGNED) if name in last
        )
        signature = key.sign(covered + _relaxed_field(b"dkim-signature", unsigned))
        text = base64.b64encode(signature)
        folded = b"\r\n  ".join(text[at : at + 70] for at in range(0, len(text), 70))
        return b"DKIM-Signature:" + unsigned + folded + b"\r\n"


def read_key(file: Path) -> RSAPrivateKey | Ed25519PrivateKey:
    """An RSA or Ed25519 key in PEM. Raises SigningKeyError."""
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"{file} holds no private key in PEM without a password") from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise SigningKeyError(f"the key in {file} is neither an RSA nor an Ed25519 key")
    if key.key_size < LEAST_BITS:
        raise SigningKeyError(f"the RSA key in {file} has {key.key_size} bits: fewer than {LEAST_BITS}")
    return key


def _relaxed_field(name: bytes, value: bytes) -> bytes:
    return name + b":" + _FOLDED.sub(b" ", value).strip(b" \t\r\n")


def _relaxed_body(body: bytes) -> bytes:
    """Blanks at the ends of lines and empty lines at the end do not count."""
    lines = [_FOLDED.sub(b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)
