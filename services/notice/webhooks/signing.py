"""Signatures of webhooks by the Standard Webhooks convention: Ed25519, `v1a`, checked by `idv.webhooks`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from idv.webhooks import published, signed_content


class WebhookKeyError(Exception):
    """A file that holds no usable key; the message says what is wrong with it."""


class WebhookSigner:
    """Signs with every key it has: while one is changed, a receiver may know the old one or the new."""

    def __init__(self, keys: Sequence[Ed25519PrivateKey]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def load(cls, files: Sequence[Path]) -> WebhookSigner:
        """The keys of these files. Raises WebhookKeyError."""
        return cls([read_key(file) for file in files])

    def headers(self, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
        """The headers of an attempt at `seconds` since 1970."""
        content = signed_content(message_id, seconds, body)
        signatures = (base64.b64encode(key.sign(content)).decode() for key in self._keys)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(f"v1a,{signature}" for signature in signatures),
        }

    def published(self) -> list[str]:
        """The public keys (`whpk_…`) to hand to Customers by a way that they trust."""
        return [published(key.public_key()) for key in self._keys]


def read_key(file: Path) -> Ed25519PrivateKey:
    """An Ed25519 key, PKCS #8 in PEM. Raises WebhookKeyError."""
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WebhookKeyError(f"{file} holds no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WebhookKeyError(f"the key in {file} is not an Ed25519 key")
    return key
