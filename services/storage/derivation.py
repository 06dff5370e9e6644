"""From a root key to the keys of one sealed thing. Pure: HKDF-SHA256 (RFC 5869), length-prefixed context."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.storage import stream
from services.storage.associated import length_prefixed
from services.storage.stream import BodyRefusedError

KEY_SIZE = 32
_NONCE_SIZE = 12


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """The keys of one record, session, access or erasure. Equal ids under one root give equal keys.

    `commitment` is stored beside the ciphertext and compared before anything is opened: AES-GCM alone would
    let a body be made that opens under two keys.
    """

    body: bytes = field(repr=False)
    details: bytes = field(repr=False)
    commitment: bytes = field(repr=False)

    def commits_to(self, stored: bytes | None) -> None:
        """Raises BodyRefusedError unless the stored commitment is this key's."""
        if stored is None or not hmac.compare_digest(self.commitment, stored):
            raise BodyRefusedError("the key is not the one that sealed the body")

    def seal_details(self, plaintext: bytes, associated: bytes) -> bytes:
        """Seals a short text in one piece: nonce, AES-256-GCM."""
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + AESGCM(self.details).encrypt(nonce, plaintext, associated)

    def open_details(self, sealed: bytes, associated: bytes) -> bytes:
        """Opens what `seal_details` returned; raises BodyRefusedError."""
        try:
            return AESGCM(self.details).decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], associated)
        except (InvalidTag, ValueError):
            raise BodyRefusedError("the details do not authenticate") from None

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """Seals a body held in memory, in the body format."""
        return stream.seal(self.body, plaintext, associated)

    def unseal(self, ciphertext: bytes, associated: bytes) -> bytes:
        """Opens a body held in memory; raises BodyRefusedError."""
        return stream.unseal(self.body, ciphertext, associated)


def derive(root: bytes | bytearray, kind: str, customer: str, *ids: UUID) -> SealingKeys:
    """The keys of what the kind and the ids name, below the root key of its epoch."""
    context = length_prefixed(b"idv keys 1", kind.encode(), customer.encode(), *(one.bytes for one in ids))
    material = HKDF(algorithm=SHA256(), length=3 * KEY_SIZE, salt=None, info=context).derive(root)
    return SealingKeys(material[:32], material[32:64], material[64:])


class DayKey:
    """Digests that are stored in the clear: keyed, so that they cannot be guessed, and dead once the day's
    key is.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def subject(self, customer: str, subject: str) -> bytes:
        """What a subject is looked up by, within a Customer and a day; 16 bytes."""
        return self._digest(b"subject", customer.encode(), subject.encode())[:16]

    def content(self, customer: str, *parts: bytes) -> bytes:
        """What a repeated request is compared by; 16 bytes."""
        return self._digest(b"content", customer.encode(), *parts)[:16]

    def _digest(self, *parts: bytes) -> bytes:
        return hmac.digest(self._key, length_prefixed(*parts), hashlib.sha256)
