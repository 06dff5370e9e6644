"""Bearer tokens: only a good signature, of the right issuer, for the right audience, at the right time."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from idv.errors import IdvError, Reason
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from services.runtime.keysets import KeysUnavailableError, parse_jwks
from services.runtime.tokens import TokenVerifier, UnknownKeyError, audience_of
from tests.runtime_process import ISSUER, TENANT, Signer, running
from tests.set_clock import SetClock


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "jwks.json")


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime.now(UTC))


@pytest.fixture
def verifier(signer: Signer, clock: SetClock) -> TokenVerifier:
    return TokenVerifier(signer.path, issuer=ISSUER, audience="idv", clock=clock)


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _alg_none(signer: Signer) -> str:
    return f"{_part({'alg': 'none'})}.{signer.token().split('.')[1]}."


def _signed_with_public_key_as_secret(signer: Signer) -> str:
    claims = {"iss": ISSUER, "aud": "idv", "sub": TENANT, "exp": 4_000_000_000}
    signed = f"{_part({'alg': 'HS256', 'kid': 'first'})}.{_part(claims)}"
    digest = hmac.digest(signer.key.as_bytes(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _signed_by_another(signer: Signer) -> str:
    other = OKPKey.generate_key("Ed25519", {"kid": "first"})
    claims = {"iss": ISSUER, "aud": "idv", "sub": TENANT, "exp": 4_000_000_000}
    return jwt.encode({"alg": "Ed25519", "kid": "first"}, claims, other, algorithms=["Ed25519"])


def _changed_claims(signer: Signer) -> str:
    header, payload, signature = signer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{_part(claims | {'sub': 'customers/rival'})}.{signature}"


_DEEP = base64.urlsafe_b64encode(b"[" * 4500).decode()


FORGERIES: dict[str, Callable[[Signer], str]] = {
    "alg none": _alg_none,
    "public key as secret": _signed_with_public_key_as_secret,
    "another key of the same id": _signed_by_another,
    "changed claims": _changed_claims,
    "other issuer": lambda signer: signer.token(iss="https://evil.example.com"),
    "no issuer": lambda signer: signer.token(iss=None),
    "other audience": lambda signer: signer.token(aud="other"),
    "no audience": lambda signer: signer.token(aud=None),
    "no subject": lambda signer: signer.token(sub=None),
    "no end": lambda signer: signer.token(exp=None),
    "an end that is no time": lambda signer: signer.token(exp="never"),
    "not yet valid": lambda signer: signer.token(nbf=4_000_000_000),
    "not a token": lambda _signer: "x.y.z",
    "nested deeper than a parser goes": lambda _signer: f"{_DEEP}.{_DEEP}.AAAA",
    "empty": lambda _signer: "",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_token_that_is_not_good_is_refused(
    forge: Callable[[Signer], str], signer: Signer, verifier: TokenVerifier
) -> None:
    token = forge(signer)
    with pytest.raises(IdvError) as caught:
        verifier.verify(token)
    assert caught.value.reason == Reason.ERROR_REASON_UNAUTHENTICATED
    assert not token or token not in str(caught.value)


def test_a_good_token_tells_its_claims(signer: Signer, verifier: TokenVerifier) -> None:
    assert verifier.verify(signer.token())["sub"] == TENANT


def test_an_issuers_clock_may_be_a_little_ahead(
    signer: Signer, verifier: TokenVerifier, clock: SetClock
) -> None:
    ahead = int(clock.time.timestamp()) + 3
    verifier.verify(signer.token(iat=ahead, nbf=ahead))
    with pytest.raises(IdvError):
        verifier.verify(signer.token(iat=ahead + 60))


def test_a_remembered_token_still_ends_at_its_second(
    signer: Signer, verifier: TokenVerifier, clock: SetClock
) -> None:
    end = int(clock.time.timestamp()) + 60
    token = signer.token(exp=end)
    verifier.verify(token)
    clock.time = datetime.fromtimestamp(end, UTC) - timedelta(microseconds=1)
    verifier.verify(token)
    clock.time = datetime.fromtimestamp(end, UTC)
    with pytest.raises(IdvError) as caught:
        verifier.verify(token)
    assert caught.value.reason == Reason.ERROR_REASON_CREDENTIAL_EXPIRED


def test_a_rotated_key_counts_at_once(signer: Signer, verifier: TokenVerifier) -> None:
    old = signer.token()
    verifier.verify(old)
    signer.rotate("second")
    verifier.verify(signer.token())
    with pytest.raises(UnknownKeyError):
        verifier.verify(old)  # remembered, but its key is gone


def test_a_damaged_key_file_keeps_the_known_keys(signer: Signer, verifier: TokenVerifier) -> None:
    token = signer.token()
    verifier.verify(token)
    signer.path.write_text("{")
    verifier.keys.look_again()
    verifier.verify(token)


def test_without_any_key_the_answer_is_unavailable(tmp_path: Path, signer: Signer, clock: SetClock) -> None:
    verifier = TokenVerifier(tmp_path / "absent.json", issuer=ISSUER, audience="idv", clock=clock)
    with pytest.raises(IdvError) as caught:
        verifier.verify(signer.token())
    assert caught.value.reason == Reason.ERROR_REASON_UNAVAILABLE


def test_symmetric_keys_are_no_key_set() -> None:
    secret = OctKey.generate_key(256)
    with pytest.raises(KeysUnavailableError, match="symmetric"):
        parse_jwks(json.dumps({"keys": [secret.as_dict(private=True)]}).encode())


def test_claims_nested_deeper_than_a_parser_goes_choose_no_verifier() -> None:
    assert audience_of(f"e30.{_DEEP}.AAAA") is None


def test_several_audiences_choose_no_verifier(signer: Signer) -> None:
    assert audience_of(signer.token(aud=["idv", "idv-upload"])) is None


async def test_keys_that_cannot_be_read_are_said_in_the_log_with_their_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = {"jwks": "http://127.0.0.1:1/jwks", "issuer": "https://id.example.com"}
    async with running(tmp_path, customer_tokens=away):
        logged = capsys.readouterr().out
    assert "keys that verify tokens were not read" in logged
    assert "the JWKS cannot be fetched: URLError" in logged
