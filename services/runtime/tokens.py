"""Bearer tokens (JWT, RFC 7519) verified by the issuer's JWKS, each signature checked once."""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from idv.errors import IdvError, Reason
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from services.runtime.clock import Clock
from services.runtime.keysets import JwksKeys

_ALGORITHMS: Final = ("Ed25519", "ES256", "RS256", "PS256")
"""Asymmetric signatures only: 'none' and shared secrets never verify."""
_CACHED_TOKENS: Final = 20_000
_LEEWAY_SECONDS: Final = 5
"""How far the issuer's clock may be ahead of ours. A token's end has no leeway."""
_T = TypeVar("_T")


class UnknownKeyError(IdvError):
    """The token names a key id that is not in the key set: a renewed key set may know it."""


class _Verified:
    """A token found good under `generation` of the keys; times in Unix seconds."""

    __slots__ = ("claims", "derived", "expires", "generation", "starts")

    def __init__(self, claims: Mapping[str, Any], generation: int) -> None:
        self.claims = claims
        self.expires = float(claims["exp"])
        self.starts = float(claims.get("nbf", 0)) - _LEEWAY_SECONDS
        self.generation = generation
        self.derived: Any = None


class TokenVerifier:
    """Verifies the tokens of one issuer for one audience.

    Required: a signature by a key of the set with an asymmetric algorithm, `iss`, `aud`, `sub` and `exp`;
    `nbf` and `iat` count when present. A verified token is remembered until it ends or the keys change, so
    a hot token costs one lookup.
    """

    def __init__(
        self, jwks: Path | str, *, issuer: str, audience: str, clock: Clock, session_tokens: bool = False
    ) -> None:
        self.audience = audience
        self.session_tokens = session_tokens
        self.keys = JwksKeys(jwks)
        self._issuer = issuer
        self._clock = clock
        self._cache: OrderedDict[str, _Verified] = OrderedDict()

    def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a good token.

        Raises UNAUTHENTICATED (forged, other issuer or audience, unknown key), CREDENTIAL_EXPIRED, or
        UNAVAILABLE when no key could be read yet.
        """
        return self._verified(token).claims

    def caller(self, token: str, derive: Callable[[TokenVerifier, str, Mapping[str, Any]], _T]) -> _T:
        """What `derive` makes of a good token, remembered with it; raises as `verify`."""
        verified = self._verified(token)
        if verified.derived is None:
            try:
                verified.derived = derive(self, token, verified.claims)
            except IdvError as error:
                raise _refused("its subject is not of the expected form") from error
        return verified.derived  # type: ignore[no-any-return]  # each verifier is used with one derivation

    def recall(self, token: str) -> Any:
        """What `caller` derived from this token when it was verified before and still is good; else None."""
        known = self._cache.get(token)
        if known is None or known.derived is None:
            return None
        self.keys.current()  # a changed key file ends what it had verified
        good = known.generation == self.keys.generation and self._clock.now().timestamp() < known.expires
        return known.derived if good else None

    async def refresh(self) -> None:
        """Reads the keys again, see `JwksKeys.refresh`."""
        await self.keys.refresh()

    def _verified(self, token: str) -> _Verified:
        keys = self.keys.current()
        if keys is None:
            raise IdvError(
                Reason.ERROR_REASON_UNAVAILABLE,
                "the keys that verify tokens are not available yet",
                retry_after=5.0,
            )
        known = self._cache.get(token)
        if known is None or known.generation != self.keys.generation:
            known = _Verified(self._check_with_newest(token, keys), self.keys.generation)
            self._remember(token, known)
        now = self._clock.now().timestamp()
        if now >= known.expires:
            self._cache.pop(token, None)
            raise _expired()
        if now < known.starts:
            raise _refused("it is not valid yet")
        return known

    def _check_with_newest(self, token: str, keys: KeySet) -> Mapping[str, Any]:
        try:
            return self._check(token, keys)
        except UnknownKeyError:
            if not self.keys.look_again():
                raise
            return self._check(token, self.keys.current() or keys)

    def _check(self, token: str, keys: KeySet) -> Mapping[str, Any]:
        now = int(self._clock.now().timestamp())
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self.audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        try:
            claims = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
            registry.validate(claims)
        except ExpiredTokenError as error:
            raise _expired() from error
        except InvalidKeyIdError as error:
            raise UnknownKeyError(
                Reason.ERROR_REASON_UNAUTHENTICATED, "the token is signed by a key that is not known"
            ) from error
        except (JoseError, ValueError, RecursionError) as error:
            raise _refused("it is forged, damaged, or for another issuer or audience") from error
        return MappingProxyType(claims)

    def _remember(self, token: str, verified: _Verified) -> None:
        self._cache[token] = verified
        self._cache.move_to_end(token)
        if len(self._cache) > _CACHED_TOKENS:
            self._cache.popitem(last=False)


def audience_of(token: str) -> str | None:
    """The audience that a token claims, unverified: it only chooses the verifier, which then checks it."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    audience = payload.get("aud") if isinstance(payload, dict) else None
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    return audience if isinstance(audience, str) else None


def _expired() -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_CREDENTIAL_EXPIRED, "the token is past its end", remedy="get a new token"
    )


def _refused(why: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_UNAUTHENTICATED, f"the token cannot be accepted: {why}", remedy="get a new token"
    )
