"""The retention service's key files: what they protect, and how a wrong one is named."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from idv.checkpoint import VerifierKey, open_checkpoint

from services.retention import sealing, signing
from services.retention.sealing import SealError, TargetSeal
from services.retention.signing import LogSigner, SigningKeyError

ORIGIN = "idv.example/log"
TARGET = {"subject": "passport-holder-4711"}


def test_a_new_signing_key_signs_what_its_public_key_verifies(tmp_path: Path) -> None:
    signing.generate(tmp_path / "log.pem")
    signer = LogSigner.load(ORIGIN, tmp_path / "log.pem")
    checkpoint, key = open_checkpoint(signer.sign(7, bytes(32)), [VerifierKey.parse(signer.published())])
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, 7, bytes(32))
    assert key == signer.keys[0]


@pytest.mark.parametrize("generate", [signing.generate, sealing.generate])
def test_a_key_file_is_private_and_never_replaced(tmp_path: Path, generate: Callable[[Path], None]) -> None:
    file = tmp_path / "key"
    generate(file)
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    with pytest.raises(FileExistsError):
        generate(file)
    assert file.read_bytes() == before


def test_former_keys_are_published_after_the_present_one(tmp_path: Path) -> None:
    for name in ("old", "new"):
        signing.generate(tmp_path / name)
    old = LogSigner.load(ORIGIN, tmp_path / "old")
    new = LogSigner.load(ORIGIN, tmp_path / "new", [old.published()])
    assert new.published().splitlines() == [str(new.keys[0]), old.published()]


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_without_a_key_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "log.pem"
    file.write_bytes(content)
    with pytest.raises(SigningKeyError, match=r"log\.pem"):
        LogSigner.load(ORIGIN, file)


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log.pem"
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(encoding, form, serialization.NoEncryption())
    )
    with pytest.raises(SigningKeyError, match="another kind"):
        LogSigner.load(ORIGIN, file)


def test_a_sealed_target_opens_for_its_deletion_only(tmp_path: Path) -> None:
    sealing.generate(tmp_path / "request.key")
    seal, deletion = TargetSeal.load(tmp_path / "request.key"), uuid4()
    sealed = seal.seal("acme", deletion, TARGET)
    assert TARGET["subject"].encode() not in sealed
    assert seal.open("acme", deletion, sealed) == TARGET
    assert seal.seal("acme", deletion, TARGET) != sealed, "equal targets do not show as such"
    other = TargetSeal(bytes(32))
    for key, customer, name, text in (
        (seal, "globex", deletion, sealed),
        (seal, "acme", uuid4(), sealed),
        (other, "acme", deletion, sealed),
        (seal, "acme", deletion, sealed[:-1]),
        (seal, "acme", deletion, b""),
    ):
        with pytest.raises(SealError):
            key.open(customer, name, text)


def test_a_digest_tells_requests_apart_and_depends_on_the_key() -> None:
    seal, request = TargetSeal(bytes(32)), uuid4()
    digests = {
        seal.digest("acme", request, TARGET),
        seal.digest("globex", request, TARGET),
        seal.digest("acme", uuid4(), TARGET),
        seal.digest("acme", request, {"subject": "another"}),
        seal.digest("acme", request, {"session": TARGET["subject"]}),
        TargetSeal(bytes(31) + b"\x01").digest("acme", request, TARGET),
    }
    assert len(digests) == 6
    assert seal.digest("acme", request, dict(TARGET)) in digests


@pytest.mark.parametrize("content", ["", "no base64!", base64.b64encode(bytes(31)).decode()])
def test_a_request_key_that_cannot_be_used_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "request.key").write_text(content)
    with pytest.raises(SealError):
        TargetSeal.load(tmp_path / "request.key")
