"""Signing keys of the local stack, and the tokens that a Customer's identity provider would issue."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import KeyParameters, OKPKey

from services.local.files import write_private
from services.runtime.clock import Clock
from services.runtime.resources import customer_name

ISSUER = "https://id.idv.local"
AUDIENCE = "idv"
SCOPES = ("ingest", "retention", "account")
"""Every scope that a Customer's token can carry."""


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key: `private` (a JWK, mode 0600) signs, `public` (a JWKS) verifies."""

    private: Path
    public: Path

    @classmethod
    def open(cls, directory: Path, name: str) -> SigningKey:
        """The key `name` of this directory, made if absent."""
        files = cls(directory / f"{name}.jwk", directory / f"{name}.jwks")
        if not files.private.exists():
            options: KeyParameters = {"kid": f"{name}-{secrets.token_hex(4)}", "use": "sig", "alg": "Ed25519"}
            key = OKPKey.generate_key("Ed25519", options)
            write_private(files.private, json.dumps(key.as_dict(private=True)))
        key = files.load()
        write_private(files.public, json.dumps({"keys": [key.as_dict(private=False)]}))
        return files

    def load(self) -> OKPKey:
        """The private key."""
        return OKPKey.import_key(json.loads(self.private.read_text()))


class CustomerTokens:
    """Issues bearer tokens of Customers, by the application's clock."""

    def __init__(self, key: SigningKey, clock: Clock) -> None:
        self._key = key.load()
        self._clock = clock

    def issue(
        self,
        customer: str,
        scopes: Sequence[str] = SCOPES,
        *,
        lifetime: timedelta = timedelta(hours=1),
        audience: str = AUDIENCE,
    ) -> str:
        """A token for the Customer with id `customer`; a negative lifetime gives one that has ended."""
        now = self._clock.now()
        header = {"alg": "Ed25519", "kid": self._key.kid}
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": customer_name(customer),
            "scope": " ".join(scopes),
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(header, claims, self._key, algorithms=["Ed25519"])
