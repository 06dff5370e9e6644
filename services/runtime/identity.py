"""Who calls: a service or Customer by certificate, a Customer by bearer token, a session by upload token."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Literal

from idv.errors import IdvError, Reason

from services.runtime.keysets import KeysUnavailableError
from services.runtime.resources import parse_customer, parse_session
from services.runtime.tokens import TokenVerifier, audience_of

__all__ = ["ANONYMOUS", "Authenticator", "Caller", "CallerKind", "TokenVerifier", "current_caller", "run_as"]

Credential = Literal["certificate", "jwt", "session_token", "none"]

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})
_URI_PROPERTY = "peer_uri"
CERTIFICATE_PROPERTY = "x509_pem_cert"
"""In a peer's properties when it showed a certificate."""
Peer = Mapping[str, Sequence[bytes]]
"""The verified properties of the other end of a connection, as gRPC's auth_context() gives them."""
Metadata = Sequence[tuple[str, str | bytes]]
"""The metadata of a call."""
_AUTHORIZATION = "authorization"
_BEARER = "bearer "
_MAX_TOKEN = 8192
_MAX_CERTIFICATES = 4096


class CallerKind(Enum):
    """What kind of party calls."""

    ANONYMOUS = "anonymous"
    SERVICE = "service"
    CUSTOMER = "customer"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Caller:
    """The verified caller of the running method.

    `name` is the service's name, the Customer's id or the session's resource name. `customer` and `session`
    are ids. A Customer with a certificate holds every scope of its own, see `holds`. `token` is the
    verified bearer token, `claims` what it says.
    """

    kind: CallerKind
    name: str
    customer: str | None = None
    session: str | None = None
    scopes: frozenset[str] = frozenset()
    credential: Credential = "none"
    token: str | None = field(default=None, repr=False)
    claims: Mapping[str, Any] = field(default_factory=lambda: _NO_CLAIMS, repr=False)
    person: str | None = field(default=None, repr=False)
    """Who acts in the service's role, as its certificate names them; None: the service itself."""

    def holds(self, scope: str) -> bool:
        """Whether the Customer may use `scope`: any by certificate, else those its token names."""
        return self.credential == "certificate" or scope in self.scopes


ANONYMOUS: Final = Caller(CallerKind.ANONYMOUS, "")
"""The caller that showed no credential."""

_caller: ContextVar[Caller] = ContextVar("idv_caller", default=ANONYMOUS)


def current_caller() -> Caller:
    """The caller of the method that runs now; ANONYMOUS outside of any call."""
    return _caller.get()


def run_as(caller: Caller) -> None:
    """Makes `caller` the current caller of the running task: for the interceptor core and for tests."""
    _caller.set(caller)


class Authenticator:
    """Finds the one credential of a call and turns it into a Caller.

    A certificate must carry exactly one URI SAN, `spiffe://<trust_domain>/service/<name>`, the same with
    `/<person>` for somebody who acts in that role, or `/customer/<id>`. A bearer token is checked by the
    verifier of its audience. Two credentials at once are refused: which one counts must never be a guess.
    """

    def __init__(self, trust_domain: str, verifiers: Sequence[TokenVerifier]) -> None:
        self._spiffe = re.compile(
            rf"spiffe://{re.escape(trust_domain)}/(?:service/(?:(officer|approver)/([a-z0-9][a-z0-9.-]{{0,39}})"
            r"|([a-z][a-z0-9-]{0,39}))|customer/([a-z0-9-]{3,40}))"
        )
        self._verifiers = {verifier.audience: verifier for verifier in verifiers}
        self._by_uri: dict[tuple[bytes, ...], Caller] = {}

    def identify(self, peer: Peer, metadata: Metadata) -> Caller:
        """The caller; raises UNAUTHENTICATED or CREDENTIAL_EXPIRED. No credential gives ANONYMOUS.

        Raises `tokens.UnknownKeyError`, an UNAUTHENTICATED too, when newer keys may know the token.
        """
        bearer = [value for key, value in metadata if key == _AUTHORIZATION]
        if CERTIFICATE_PROPERTY in peer:
            if bearer:
                raise _unauthenticated(
                    "the call carries a client certificate and a bearer token", "send only one of them"
                )
            return self._from_certificate(tuple(peer.get(_URI_PROPERTY, ())))
        if not bearer:
            return ANONYMOUS
        if len(bearer) > 1:
            raise _unauthenticated("the call carries several authorization headers", "send exactly one")
        return self._from_bearer(bearer[0])

    async def refresh(self) -> list[KeysUnavailableError]:
        """Reads every issuer's keys again, as often as their source allows; returns why some were not read.

        A failure keeps the keys that are known.
        """
        failures = []
        for verifier in self._verifiers.values():
            try:
                await verifier.refresh()
            except KeysUnavailableError as failure:
                failures.append(failure)
        return failures

    def _from_certificate(self, uris: tuple[bytes, ...]) -> Caller:
        known = self._by_uri.get(uris)
        if known is None:
            known = self._parse_uris(uris)
            if len(self._by_uri) < _MAX_CERTIFICATES:
                self._by_uri[uris] = known
        return known

    def _parse_uris(self, uris: tuple[bytes, ...]) -> Caller:
        if len(uris) != 1:
            raise _unauthenticated(
                f"the client certificate carries {len(uris)} URI names instead of exactly one",
                "issue a certificate with one SPIFFE URI as subject alternative name",
            )
        match = self._spiffe.fullmatch(uris[0].decode("utf-8", "replace"))
        if match is None:
            raise _unauthenticated(
                "the client certificate names no service or Customer of this trust domain",
                "issue it for spiffe://<trust-domain>/service/<name> or /customer/<id>",
            )
        role, person, service, customer = match.groups()
        if role or service:
            return Caller(CallerKind.SERVICE, role or service, credential="certificate", person=person)
        return Caller(CallerKind.CUSTOMER, customer, customer=customer, credential="certificate")

    def _from_bearer(self, header: str | bytes) -> Caller:
        text = header.decode("ascii", "replace") if isinstance(header, bytes) else header
        if text[: len(_BEARER)].lower() != _BEARER or len(text) > _MAX_TOKEN:
            raise _unauthenticated(
                "the authorization header is no bearer token", "send 'authorization: Bearer <token>'"
            )
        token = text[len(_BEARER) :].strip()
        for known in self._verifiers.values():
            caller = known.recall(token)
            if caller is not None:
                return caller  # type: ignore[no-any-return]  # derived below
        verifier = self._verifiers.get(audience_of(token) or "")
        if verifier is None:
            raise _unauthenticated(
                "the token is for no audience that this service accepts", "ask for a token for it"
            )
        return verifier.caller(token, _caller_of)


def _caller_of(verifier: TokenVerifier, token: str, claims: Mapping[str, Any]) -> Caller:
    subject = str(claims["sub"])
    if verifier.session_tokens:
        customer, session = parse_session(subject, field="sub")
        return Caller(
            *(CallerKind.SESSION, subject, customer, session),
            credential="session_token",
            token=token,
            claims=claims,
        )
    customer = parse_customer(subject, field="sub")
    scopes = frozenset(str(claims.get("scope", "")).split())
    return Caller(
        CallerKind.CUSTOMER,
        customer,
        customer=customer,
        scopes=scopes,
        credential="jwt",
        token=token,
        claims=claims,
    )


def _unauthenticated(message: str, remedy: str) -> IdvError:
    return IdvError(Reason.ERROR_REASON_UNAUTHENTICATED, message, remedy=remedy)
