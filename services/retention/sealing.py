"""What a deletion is of, kept sealed until it is done: no reference to a person rests in the clear.

The key lies in a file outside the database. Three keys are derived from it: two seal targets and whole
receipts (AES-256-GCM, bound to the deletion), one keys the digests by which a repeated request is told from
another of the same id.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from idv.receipts import canonical

_KEY_SIZE = 32
_NONCE_SIZE = 12


class SealError(Exception):
    """The key file is unusable, or what was sealed does not open under it; the message says which."""


class TargetSeal:
    """Seals and opens targets and receipts, and makes the digests of requests, under one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_SIZE:
            raise SealError(f"the request key is not {_KEY_SIZE} bytes long")
        self._sealing = AESGCM(_derive(key, b"idv retention: seal of a deletion's target"))
        self._receipts = AESGCM(_derive(key, b"idv retention: seal of a deletion's receipt"))
        self._digesting = _derive(key, b"idv retention: digest of a request")

    @classmethod
    def load(cls, file: Path) -> TargetSeal:
        """Reads the key, base64 in `file`. Raises SealError."""
        try:
            return cls(base64.b64decode(file.read_text().strip(), validate=True))
        except (binascii.Error, ValueError) as error:
            raise SealError(f"{file} holds no base64") from error

    def digest(self, customer: str, request_id: UUID, target: Mapping[str, Any]) -> bytes:
        """32 bytes that are equal for equal requests only, and tell nothing without the key."""
        return hmac.digest(self._digesting, _bound(customer, request_id) + canonical(target), sha256)

    def seal(self, customer: str, deletion: UUID, target: Mapping[str, Any]) -> bytes:
        """The target, readable only under this key and for this deletion."""
        return _seal(self._sealing, canonical(target), _bound(customer, deletion))

    def open(self, customer: str, deletion: UUID, sealed: bytes) -> dict[str, Any]:
        """The target again. Raises SealError where it was sealed otherwise."""
        target: dict[str, Any] = json.loads(_open(self._sealing, sealed, _bound(customer, deletion)))
        return target

    def seal_receipt(self, customer: str, deletion: UUID, receipt: str) -> bytes:
        """The receipt with its opening, which could be compared with guesses of what was deleted."""
        return _seal(self._receipts, receipt.encode(), _bound(customer, deletion))

    def open_receipt(self, customer: str, deletion: UUID, sealed: bytes) -> str:
        """The receipt again. Raises SealError where it was sealed otherwise."""
        return _open(self._receipts, sealed, _bound(customer, deletion)).decode()


def generate(file: Path) -> None:
    """Writes a new request key, readable by this user only; raises FileExistsError if the file is there."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(base64.b64encode(secrets.token_bytes(_KEY_SIZE)) + b"\n")


def _seal(key: AESGCM, text: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_SIZE)
    return nonce + key.encrypt(nonce, text, bound)


def _open(key: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    try:
        return key.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], bound)
    except (InvalidTag, ValueError) as error:
        raise SealError("what a deletion keeps was sealed under another key, or altered") from error


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_SIZE, salt=None, info=purpose).derive(key)


def _bound(customer: str, name: UUID) -> bytes:
    return len(customer).to_bytes(1, "big") + customer.encode() + name.bytes
