"""Tokens and keys of the local stack: what the services verify, by the clock that they use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from idv.checkpoint import VerifierKey
from idv.errors import IdvError, Reason

from services.local.layout import Layout
from services.local.signing import LOG_ORIGIN, Secrets
from services.local.tokens import AUDIENCE, ISSUER, SCOPES, CustomerTokens, SigningKey
from services.runtime.tokens import TokenVerifier

_NOW = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)


class _Clock:
    def __init__(self) -> None:
        self.present = _NOW

    def now(self) -> datetime:
        return self.present


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.open(tmp_path, "customers")


def _verifier(key: SigningKey, clock: _Clock) -> TokenVerifier:
    return TokenVerifier(key.public, issuer=ISSUER, audience=AUDIENCE, clock=clock)


def test_a_token_names_the_customer_and_its_scopes(key: SigningKey) -> None:
    clock = _Clock()
    claims = _verifier(key, clock).verify(CustomerTokens(key, clock).issue("acme"))
    assert claims["sub"] == "customers/acme"
    assert claims["scope"].split() == list(SCOPES)


def test_a_token_ends_by_the_application_clock(key: SigningKey) -> None:
    clock = _Clock()
    verifier = _verifier(key, clock)
    token = CustomerTokens(key, clock).issue("acme", lifetime=timedelta(minutes=5))
    clock.present = _NOW + timedelta(minutes=5) - timedelta(seconds=1)
    verifier.verify(token)
    clock.present = _NOW + timedelta(minutes=5)
    with pytest.raises(IdvError) as refused:
        verifier.verify(token)
    assert refused.value.reason == Reason.ERROR_REASON_CREDENTIAL_EXPIRED


def test_the_published_key_set_holds_no_private_key(key: SigningKey) -> None:
    (published,) = json.loads(key.public.read_text())["keys"]
    assert "d" not in published
    assert published["kid"] == key.load().kid


def test_keys_stay_the_same_and_secret_when_opened_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "stack")
    layout.make()
    first, again = Secrets.open(layout), Secrets.open(layout)
    assert first.passwords == again.passwords
    assert first.customers.load().thumbprint() == again.customers.load().thumbprint()
    secret = [first.log, first.request, first.customers.private, first.sessions.private, layout.secrets]
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


def test_the_log_is_published_under_its_origin(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    public = VerifierKey.parse(Secrets.open(layout).log_public.read_text().strip())
    assert public.name == LOG_ORIGIN


def test_every_role_has_its_own_password(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    passwords = Secrets.open(layout).passwords
    assert len(set(passwords.values())) == len(passwords) == 8
