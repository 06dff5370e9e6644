"""Upload tokens: the same session gets the same token, and a token opens its own session only."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from idv.errors import IdvError, Reason
from idv.types.v1 import processing_pb2
from joserfc import jwt
from joserfc.jwk import OKPKey

from services.ingest.tokens import Grants, KeyFileError, TokenSigner
from services.runtime.identity import Caller, CallerKind
from services.runtime.instants import timestamp
from services.runtime.tokens import TokenVerifier
from tests.unit.ingest_terms import NOON, StillClock

ISSUER, AUDIENCE = "idv-ingest", "idv-upload"
IDS = ("01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002")
NAMES = [f"customers/acme/sessions/{session}" for session in IDS]
ACME = Caller(CallerKind.CUSTOMER, "acme", customer="acme", credential="jwt")


def session(name: str = NAMES[0]) -> processing_pb2.Session:
    return processing_pb2.Session(
        name=name,
        create_time=timestamp(NOON),
        close_time=timestamp(NOON + timedelta(minutes=30)),
        items=["face_image", "log"],
        notice_version=3,
    )


class Keys:
    """A signing key with its public half, as files."""

    def __init__(self, folder: Path) -> None:
        key = OKPKey.generate_key("Ed25519", {"kid": "one", "use": "sig", "alg": "Ed25519"})
        self.private, self.public = folder / "key.jwk", folder / "keys.jwks"
        self.private.write_text(json.dumps(key.as_dict(private=True)))
        self.public.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
        self.signer = TokenSigner.load(self.private, issuer=ISSUER, audience=AUDIENCE)

    def grants(self, clock: StillClock) -> Grants:
        verifier = TokenVerifier(
            self.public, issuer=ISSUER, audience=AUDIENCE, clock=clock, session_tokens=True
        )
        return Grants(verifier)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


async def ready(grants: Grants) -> Grants:
    await grants._verifier.refresh()
    return grants


def test_the_same_session_always_gets_the_same_token(keys: Keys) -> None:
    assert keys.signer.sign(session()) == keys.signer.sign(session())
    assert keys.signer.sign(session()) != keys.signer.sign(session(NAMES[1]))


def test_a_token_carries_ids_items_and_its_end_and_nothing_else(keys: Keys) -> None:
    key = OKPKey.import_key(json.loads(keys.private.read_text()))
    claims = jwt.decode(keys.signer.sign(session()), key, algorithms=["Ed25519"]).claims
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": NAMES[0],
        "iat": int(NOON.timestamp()),
        "exp": int(NOON.timestamp()) + 1800,
        "items": ["face_image", "log"],
        "notice_version": 3,
    }


async def test_a_customer_that_sends_the_token_is_the_source_customer(keys: Keys) -> None:
    grants = await ready(keys.grants(StillClock()))
    grant = grants.of(ACME, NAMES[0], keys.signer.sign(session()))
    assert (grant.source, grant.customer) == (processing_pb2.SOURCE_CUSTOMER, "acme")
    assert grant.items == {"face_image", "log"}


async def test_a_session_that_calls_by_itself_is_the_source_sdk(keys: Keys) -> None:
    grants = await ready(keys.grants(StillClock()))
    token = keys.signer.sign(session())
    sdk = Caller(CallerKind.SESSION, NAMES[0], "acme", IDS[0], credential="session_token", token=token)
    assert grants.of(sdk, NAMES[0], "").source == processing_pb2.SOURCE_SDK
    assert grants.of(sdk, NAMES[0], token).source == processing_pb2.SOURCE_SDK
    with pytest.raises(IdvError) as caught:
        grants.of(sdk, NAMES[0], keys.signer.sign(session(NAMES[1])))
    assert caught.value.reason == Reason.ERROR_REASON_WRONG_SESSION


async def test_tokens_that_are_missing_forged_expired_or_another_sessions_are_refused(
    keys: Keys, tmp_path: Path
) -> None:
    clock = StillClock()
    grants = await ready(keys.grants(clock))
    good = keys.signer.sign(session())
    other = tmp_path / "other"
    other.mkdir()
    forged = Keys(other).signer.sign(session())
    audience = TokenSigner.load(keys.private, issuer=ISSUER, audience="idv").sign(session())
    cases = {
        "": Reason.ERROR_REASON_INVALID_ARGUMENT,
        "no.token.atall": Reason.ERROR_REASON_UNAUTHENTICATED,
        forged: Reason.ERROR_REASON_UNAUTHENTICATED,
        audience: Reason.ERROR_REASON_UNAUTHENTICATED,
        keys.signer.sign(session(NAMES[1])): Reason.ERROR_REASON_WRONG_SESSION,
    }
    for token, reason in cases.items():
        with pytest.raises(IdvError) as caught:
            grants.of(ACME, NAMES[0], token, field="header")
        assert (caught.value.reason, caught.value.field) == (reason, "header.session_token")
    clock.move(1800)
    with pytest.raises(IdvError) as caught:
        grants.of(ACME, NAMES[0], good)
    assert caught.value.reason == Reason.ERROR_REASON_CREDENTIAL_EXPIRED


async def test_another_customers_session_is_refused_before_its_token_is_looked_at(keys: Keys) -> None:
    grants = await ready(keys.grants(StillClock()))
    with pytest.raises(IdvError) as caught:
        grants.of(ACME, NAMES[0].replace("acme", "globex"), "anything")
    assert caught.value.reason == Reason.ERROR_REASON_WRONG_TENANT


@pytest.mark.parametrize("text", ["", "{}", "not JSON", '{"kty":"OKP","crv":"Ed25519","x":"AA"}'])
def test_a_key_file_that_cannot_sign_stops_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key.jwk"
    file.write_text(text)
    with pytest.raises(KeyFileError):
        TokenSigner.load(file, issuer=ISSUER, audience=AUDIENCE)
