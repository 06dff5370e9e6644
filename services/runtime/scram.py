"""SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677) in PostgreSQL's notation: no password travels in SQL."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

_ITERATIONS = 4096
_SALT_BYTES = 16


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores for `password`, with a fresh salt.

    Raises ValueError unless it is printable ASCII: other characters would need SASLprep (RFC 4013).
    """
    if not password or not password.isascii() or not password.isprintable():
        raise ValueError("a database password must be printable ASCII and not empty")
    salt = secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_encode(salt)}${_encode(stored)}:{_encode(server)}"


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()
