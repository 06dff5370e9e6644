"""`idv receipt verify` accepts what a log signed, and refuses anything else with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import merkle, receipts
from idv.checkpoint import Checkpoint, VerifierKey, sign_note

from tests.cli_run import idv

ORIGIN = "log.example"
REQUEST = "0f8c2a4e-7a56-4a3f-9d6b-2f1f5a3c9e10"
ENTRY = {
    "kind": "deletion",
    "request": receipts.commitment(REQUEST, {"subject": "user-17"}),
    "final_time": "2026-12-24T13:45:00.000000Z",
    "record_count": 7,
}


class _Log:
    """A log of three leaves; the middle one is the deletion."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.public = str(VerifierKey(ORIGIN, self.key.public_key().public_bytes_raw()))

    def receipt(self) -> str:
        opening = receipts.Opening(b"s" * receipts.SALT_SIZE, receipts.canonical(ENTRY))
        leaves = [b"a" * 32, opening.leaf(), b"c" * 32]
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        proof = merkle.prove(merkle.inclusion_plan(1, 3), merkle.build(hashes))
        note = sign_note(Checkpoint(ORIGIN, 3, merkle.root(hashes)).text(), ORIGIN, self.key)
        return receipts.render(opening, opening.leaf(), 1, proof, note)


@pytest.fixture
def log() -> _Log:
    return _Log()


@pytest.fixture
def file(log: _Log, tmp_path: Path) -> Path:
    path = tmp_path / "receipt.json"
    path.write_text(log.receipt())
    return path


def test_good_receipt_verifies_with_the_key_or_its_file(log: _Log, file: Path, tmp_path: Path) -> None:
    (tmp_path / "log.pub").write_text(log.public + "\n")
    for key in (("--key", log.public), ("--key-file", str(tmp_path / "log.pub"))):
        ended = idv("receipt", "verify", str(file), *key)
        assert ended.code == 0, ended.err
        assert "verified" in ended.out
        assert "deletion" in ended.out


def test_json_twin_holds_the_entry(log: _Log, file: Path) -> None:
    ended = idv("receipt", "verify", str(file), "--key", log.public, "--json")
    assert ended.json["verified"] is True
    assert ended.json["entry"] == ENTRY
    assert (ended.json["leaf_index"], ended.json["tree_size"]) == (1, 3)


def test_right_target_is_confirmed_and_another_refused(log: _Log, file: Path) -> None:
    asked = ("receipt", "verify", str(file), "--key", log.public, "--request-id", REQUEST)
    assert idv(*asked, "--subject", "user-17").code == 0
    ended = idv(*asked, "--subject", "user-18", "--json")
    assert ended.code == 1
    assert ended.json["error"]["metadata"]["fault"] == "other-target"


def test_any_changed_byte_is_refused(log: _Log, file: Path) -> None:
    good = file.read_bytes()
    for place in range(0, len(good), 37):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        ended = idv("receipt", "verify", str(file), "--key", log.public)
        assert ended.code == 1, f"byte {place}"
        assert ended.err.startswith("refused: the receipt proves nothing")


def test_each_fault_has_its_reason(log: _Log, file: Path) -> None:
    text = file.read_text()
    changes = {
        "truncated": text[:-20],
        "entry-altered": text.replace('"record_count": 7', '"record_count": 8'),
        "checkpoint-altered": text.replace(f"{ORIGIN}\\n3\\n", f"{ORIGIN}\\n4\\n"),
        "proof-wrong": text.replace('"leaf_index": 1', '"leaf_index": 2'),
        "malformed": text.replace('"leaf_index": 1', '"leaf_index": "1"'),
    }
    for fault, changed in changes.items():
        file.write_text(changed)
        ended = idv("receipt", "verify", str(file), "--key", log.public, "--json")
        assert (ended.code, ended.json["error"]["metadata"]["fault"]) == (1, fault)
        assert ended.json["error"]["remedy"]


def test_other_key_is_refused(file: Path) -> None:
    ended = idv("receipt", "verify", str(file), "--key", _Log().public, "--json")
    assert ended.code == 1
    assert ended.json["error"]["metadata"]["fault"] == "wrong-key"


def test_neither_key_nor_two_keys_are_right(log: _Log, file: Path) -> None:
    assert idv("receipt", "verify", str(file)).code == 2
    assert idv("receipt", "verify", str(file), "--key", log.public, "--key-file", str(file)).code == 2


def test_missing_file_is_wrong_usage(log: _Log, tmp_path: Path) -> None:
    ended = idv("receipt", "verify", str(tmp_path / "none.json"), "--key", log.public)
    assert ended.code == 2
    assert "none.json" in ended.err


def test_show_says_that_nothing_was_checked(file: Path) -> None:
    ended = idv("receipt", "show", str(file))
    assert ended.code == 0
    assert ORIGIN in ended.out
    assert "not verified" in ended.out
