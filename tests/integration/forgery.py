"""Tokens that must be refused: a good one, changed and signed again."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token, unverified."""
    header, claims, _ = token.split(".")
    return _decoded(header), _decoded(claims)


def _decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def resigned(token: str, key: OKPKey, **claims: Any) -> str:
    """The token with other claims, signed by `key` under the key id of the original."""
    header, original = parts_of(token)
    return jwt.encode(header, original | claims, key, algorithms=[header["alg"]])


def forged(token: str) -> str:
    """The token as somebody would make it who knows everything but the signing key."""
    return resigned(token, OKPKey.generate_key("Ed25519"))


def expired(token: str, key: OKPKey) -> str:
    """The token as its issuer would have signed it an hour and a half ago, for an hour."""
    now = int(time.time())
    return resigned(token, key, iat=now - 5400, nbf=now - 5400, exp=now - 1800)


def confused(token: str, public_keys: Path) -> str:
    """The token signed by HMAC, with what everybody may know of the key as the shared secret."""
    header, claims = parts_of(token)
    secret = OctKey.import_key(public_keys.read_bytes())
    return jwt.encode(header | {"alg": "HS256"}, claims, secret, algorithms=["HS256"])


def self_certified(token: str) -> str:
    """The token signed by a stranger's key, which it brings along in its own header."""
    header, claims = parts_of(token)
    key = OKPKey.generate_key("Ed25519")
    brought = header | {"jwk": key.as_dict(private=False)}
    return jwt.encode(brought, claims, key, algorithms=[header["alg"]])


def unsigned(token: str) -> str:
    """The token with the algorithm `none` and no signature."""
    header, claims = parts_of(token)
    return ".".join((_encoded(header | {"alg": "none"}), _encoded(claims), ""))


def tampered(token: str, **claims: Any) -> str:
    """The token with other claims under its old signature."""
    header, original = parts_of(token)
    return ".".join((_encoded(header), _encoded(original | claims), token.rsplit(".", 1)[1]))


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
