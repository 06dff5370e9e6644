"""Checks the messages that the suite posts to a Customer's webhook: whose they are, and that they are new.

They follow the Standard Webhooks convention with Ed25519 (`v1a`): three headers, and a signature over
`id.timestamp.body`. Take the public key from a place that you trust, never from the message.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE: Final = timedelta(minutes=5)
"""How far a message's time may lie from the receiver's clock."""
_PREFIX: Final = "whpk_"
_VERSION: Final = "v1a"
_MOST_SIGNATURES: Final = 8


class WebhookError(Exception):
    """A message that must not be believed; the text says why, and quotes nothing of it."""


@dataclass(frozen=True)
class Webhook:
    """A verified message."""

    id: str
    """The same at every attempt: a receiver that keeps it does everything once."""
    timestamp: int
    """When this attempt was signed, in seconds since 1970."""
    type: str
    """Such as `deletion.ended`."""
    data: Mapping[str, Any]
    """The facts; for a deletion its name, scope, state, times and counts."""


def verify(
    body: bytes,
    headers: Mapping[str, str],
    keys: str | Sequence[str],
    *,
    now: float | None = None,
    tolerance: timedelta = TOLERANCE,
) -> Webhook:
    """Checks a message and returns what it says.

    A copy sent again within `tolerance` verifies too: keep each `id` at least that long, and answer one that
    is known with 200 without acting on it.

    Args:
        body: the body's bytes exactly as they came, before any parsing.
        headers: the request's headers, in any case.
        keys: the public key, `whpk_…`; several while it is being changed.
        now: seconds since 1970; default the system's clock.
        tolerance: how far the message's time may lie before or after `now`.

    Raises:
        WebhookError: a header is missing, the time is too far off, no signature fits, or the body is no
            message.
        ValueError: a key is none.
    """
    known = [_public_key(key) for key in ([keys] if isinstance(keys, str) else keys)]
    lowered = {name.lower(): value for name, value in headers.items()}
    message_id = _header(lowered, "webhook-id")
    timestamp = _seconds(_header(lowered, "webhook-timestamp"))
    if abs((time.time() if now is None else now) - timestamp) > tolerance.total_seconds():
        raise WebhookError("the message was signed too long ago, or a clock is wrong")
    content = signed_content(message_id, timestamp, body)
    signatures = list(_signatures(_header(lowered, "webhook-signature")))
    if not any(_fits(key, signature, content) for key in known for signature in signatures):
        raise WebhookError("no signature was made with a key that you trust")
    return _message(message_id, timestamp, body)


def signed_content(message_id: str, seconds: int, body: bytes) -> bytes:
    """What a signature is over."""
    return f"{message_id}.{seconds}.".encode() + body


def published(key: Ed25519PublicKey) -> str:
    """A public key as it is handed out."""
    return _PREFIX + base64.b64encode(key.public_bytes_raw()).decode()


def _public_key(text: str) -> Ed25519PublicKey:
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        if not text.startswith(_PREFIX):
            raise ValueError
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise ValueError(f"a webhook's public key is {_PREFIX} and 32 bytes as base64") from None


def _header(headers: Mapping[str, str], name: str) -> str:
    if not (value := headers.get(name, "")):
        raise WebhookError(f"the header {name} is missing")
    return value


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise WebhookError("webhook-timestamp is no number of seconds")
    return int(text)


def _signatures(text: str) -> list[bytes]:
    """Those of the version that is understood here; others may stand beside them."""
    found = []
    for part in text.split(" ", _MOST_SIGNATURES)[:_MOST_SIGNATURES]:
        version, _, encoded = part.partition(",")
        if version == _VERSION:
            try:
                found.append(base64.b64decode(encoded, validate=True))
            except binascii.Error:
                continue
    return found


def _fits(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _message(message_id: str, timestamp: int, body: bytes) -> Webhook:
    try:
        told = json.loads(body)
        kind, data = told["type"], told["data"]
    except (ValueError, TypeError, KeyError):
        raise WebhookError("the body is no message of this convention") from None
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise WebhookError("the body is no message of this convention")
    return Webhook(message_id, timestamp, kind, data)
