"""Upload tokens: made by ingest for one session, verified here and by storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idv.errors import IdvError, Reason
from idv.types.v1 import processing_pb2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from services.runtime.identity import Caller, CallerKind
from services.runtime.resources import parse_session
from services.runtime.tokens import TokenVerifier

_ALGORITHM = "Ed25519"


class KeyFileError(Exception):
    """The file named by the setting session_key holds no private Ed25519 key with an id."""


def read_key(file: Path) -> OKPKey:
    """The private JWK in a file; raises KeyFileError."""
    try:
        key = OKPKey.import_key(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, JoseError) as error:
        raise KeyFileError(f"{file} holds no JWK") from error
    if not key.is_private or key.curve_name != _ALGORITHM or not key.kid:
        raise KeyFileError(f"{file} holds no private Ed25519 key with an id")
    return key


class TokenSigner:
    """Signs the upload token of a session; the same session always gets the same token (RFC 8032 is
    deterministic).
    """

    def __init__(self, key: OKPKey, *, issuer: str, audience: str) -> None:
        self._key = key
        self._issuer = issuer
        self._audience = audience

    @classmethod
    def load(cls, file: Path, *, issuer: str, audience: str) -> TokenSigner:
        """Reads the private JWK; raises KeyFileError."""
        return cls(read_key(file), issuer=issuer, audience=audience)

    def sign(self, session: processing_pb2.Session) -> str:
        """The token: session, items, notice version, and the instant at which the session closes."""
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": session.name,
            "iat": session.create_time.seconds,
            "exp": session.close_time.seconds,
            "items": list(session.items),
            "notice_version": session.notice_version,
        }
        header = {"alg": _ALGORITHM, "kid": self._key.kid}
        return jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM])


@dataclass(frozen=True, slots=True)
class Grant:
    """A session as its verified upload token names it, and from which source the caller sends."""

    token: str
    name: str
    customer: str
    items: frozenset[str]
    notice_version: int
    source: processing_pb2.Source.ValueType


class Grants:
    """Finds the grant of a call; a token that was seen before costs a lookup."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier
        self._items: dict[tuple[str, ...], frozenset[str]] = {}

    def of(self, caller: Caller, session: str, token: str, *, field: str = "") -> Grant:
        """The grant for sending to `session`, named in the request beside `token`, under `field`.

        A Customer sends the session's token in the request; a session's own token is the credential. Raises
        WRONG_TENANT, WRONG_SESSION, INVALID_ARGUMENT, UNAUTHENTICATED or CREDENTIAL_EXPIRED.
        """
        prefix = f"{field}." if field else ""
        customer = parse_session(session, field=f"{prefix}session").customer
        if customer != caller.customer:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_TENANT,
                "the session belongs to another Customer",
                field=f"{prefix}session",
                remedy="name only sessions of the calling Customer",
            )
        own = caller.kind is CallerKind.SESSION
        if own and token and token != caller.token:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_SESSION,
                "the request carries another upload token than the call",
                field=f"{prefix}session_token",
                remedy="leave session_token empty when it is the credential",
            )
        used = caller.token or "" if own else token
        claims = self._claims(used, session, prefix)
        source = processing_pb2.SOURCE_SDK if own else processing_pb2.SOURCE_CUSTOMER
        return Grant(used, session, customer, self._interned(claims), int(claims["notice_version"]), source)

    def _claims(self, token: str, session: str, prefix: str) -> Mapping[str, Any]:
        field = f"{prefix}session_token"
        if not token:
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "the session's upload token is missing",
                field=field,
                remedy="send the upload token that CreateSession returned",
            )
        try:
            claims = self._verifier.verify(token)
        except IdvError as error:
            raise IdvError(
                error.reason, error.message, field=field, remedy=error.remedy, retry_after=error.retry_after
            ) from error
        if claims["sub"] != session:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_SESSION,
                "the upload token belongs to another session",
                field=field,
                remedy="send the token that was made with the session",
            )
        return claims

    def _interned(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """The set of items; sessions ask for the same few sets again and again, so each is made once."""
        items = tuple(claims.get("items", ()))
        known = self._items.get(items)
        if known is None:
            known = frozenset(map(str, items))
            if len(self._items) < 1024:
                self._items[items] = known
        return known
