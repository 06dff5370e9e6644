"""Mails are signed so that an independent DKIM verifier accepts them, and no change of them."""

from __future__ import annotations

import base64
import uuid
from datetime import timedelta
from pathlib import Path

import dkim  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from services.notice.accounts.customer import Account
from services.notice.delivery.letter import Letters, Telling
from services.notice.mail.composing import Composer
from services.notice.mail.signing import MailSigner, SigningKey, SigningKeyError, read_key
from tests.mail_parts import ACME, MATTER, SENDER
from tests.set_clock import START, SetClock

RSA_KEY = rsa.generate_private_key(65537, 2048)
ED_KEY = Ed25519PrivateKey.generate()
KEYS = (SigningKey("r2026", "idv.example", RSA_KEY), SigningKey("e2026", "idv.example", ED_KEY))
TELLING = Telling(
    2, START, START + timedelta(days=60), "https://privacy.idv.example/", {"en": ("more",), "zh": ("更多",)}
)


def dns(name: bytes, timeout: int = 5) -> bytes:
    """The TXT records of the keys, in the place of DNS."""
    wide = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raw = ED_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    records = {
        b"r2026._domainkey.idv.example.": b"v=DKIM1; k=rsa; p=" + base64.b64encode(wide),
        b"e2026._domainkey.idv.example.": b"v=DKIM1; k=ed25519; p=" + base64.b64encode(raw),
    }
    return records.get(name, b"")


def verified(mail: bytes) -> list[bool]:
    """Whether each signature holds."""
    return [_holds(mail, index) for index in range(len(KEYS))]


def _holds(mail: bytes, index: int) -> bool:
    try:
        return bool(dkim.DKIM(mail).verify(idx=index, dnsfunc=dns))
    except dkim.ValidationError:
        return False


def letter(account: Account, recipient: str = "privacy@acme.example") -> bytes:
    link = "https://privacy.idv.example/acknowledge/2.acme.1.x"
    return Letters(SENDER).compose(TELLING, account, recipient, "<n-2@idv.example>", link, START)


def named(display_name: str, language: str) -> Account:
    return Account("acme", display_name, ACME.email, language, "EU", "UTC")


@pytest.mark.parametrize(
    "mail",
    [
        letter(named("Acme Bank", "en")),
        letter(named("艾克米银行" * 12, "zh")),
        letter(named('Acme, "Bank" <x@y.example> ' * 3, "en")),
        Composer(SENDER).compose(MATTER, ACME, str(uuid.uuid4()), START),
    ],
    ids=["letter", "chinese letter", "quoted name", "mail of the outbox"],
)
def test_both_signatures_of_every_mail_hold_and_no_change_passes(mail: bytes) -> None:
    signed = MailSigner(KEYS, SetClock())(mail)
    assert signed.endswith(mail)
    assert max(map(len, signed.split(b"\r\n"))) <= 998
    assert verified(signed) == [True, True]
    changed = (
        signed.replace(b"\r\nDate: ", b"\r\nDate: X"),
        signed.replace(b"\r\nSubject: ", b"\r\nSubject: X"),
        b"From: Mallory <m@evil.example>\r\n" + signed,
        signed.replace(b"\r\nMIME-Version", b"\r\nReply-To: m@evil.example\r\nMIME-Version"),
        signed + b"one more line\r\n",
    )
    for forged in changed:
        assert forged != signed
        assert verified(forged) == [False, False]


def test_without_keys_a_mail_is_left_as_it_is() -> None:
    assert MailSigner((), SetClock())(b"From: a@b.example\r\n\r\nx\r\n") == b"From: a@b.example\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no key", "no private key"),
        (ec.generate_private_key(ec.SECP256R1()), "neither an RSA nor an Ed25519"),
        (rsa.generate_private_key(65537, 1024), "1024 bits"),  # noqa: S505 - it must be refused
    ],
    ids=["no key", "another kind", "short"],
)
def test_a_key_that_receivers_would_not_take_is_refused(tmp_path: Path, content: object, said: str) -> None:
    file = tmp_path / "key.pem"
    pem = getattr(content, "private_bytes", None)
    encoded = pem(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) if pem else content
    assert isinstance(encoded, bytes)
    file.write_bytes(encoded)
    with pytest.raises(SigningKeyError, match=said):
        read_key(file)


@pytest.mark.parametrize("line", ["Acme\r\nBcc: m@evil.example", "Acme\nBcc: m@evil.example", "Acme\rX: y"])
def test_a_name_or_address_cannot_add_a_header(line: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        letter(named(line, "en"))
    with pytest.raises(ValueError, match="line break"):
        letter(named("Acme", "en"), f"privacy@acme.example{line}")
