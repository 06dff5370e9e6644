"""What makes two calls the same call."""

from __future__ import annotations

import hashlib

from google.protobuf.message import Message


def fingerprint(method: str, request: Message) -> bytes:
    """SHA-256 over method and request: a retry asks the same."""
    return hashlib.sha256(method.encode() + b"\0" + request.SerializeToString(deterministic=True)).digest()
