"""Receipts verify with the log's public key alone, and no changed byte of one gets past."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from idv import checkpoint as notes
from idv import merkle, receipts
from idv.checkpoint import Checkpoint, VerifierKey
from idv.receipts import Opening, ReceiptError, ReceiptFault

LOG = "idv.example/log"
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
KEY = VerifierKey(LOG, SECRET.public_key().public_bytes_raw())
OTHER_KEY = VerifierKey(LOG, OTHER_SECRET.public_key().public_bytes_raw())
REQUEST_ID = "7f0e4a52-6a1b-4a53-8c58-2f1f0f7b8f11"
TARGET = {"subject": "Jürgen-4711"}
ENTRY = {
    "kind": "deletion",
    "deletion": "customers/acme/deletions/0198c0de-0000-7000-8000-000000000001",
    "scope": "subject",
    "request": receipts.commitment(REQUEST_ID, TARGET),
    "record_count": 9,
    "final_time": "2026-12-24T10:15:00.000000Z",
    "claim": "keys are overwritten in place – after that instant",
}
OPENING = Opening(bytes(range(32)), receipts.canonical(ENTRY))
INDEX, SIZE = 5, 7
LEAVES = [merkle.leaf_hash(OPENING.leaf() if index == INDEX else bytes([index])) for index in range(SIZE)]
PROOF = merkle.prove(merkle.inclusion_plan(INDEX, SIZE), merkle.build(LEAVES))
HEAD = Checkpoint(LOG, SIZE, merkle.root(LEAVES))
NOTE = notes.sign_note(HEAD.text(), LOG, SECRET)
RECEIPT = receipts.render(OPENING, OPENING.leaf(), INDEX, PROOF, NOTE)
BARE = receipts.render(None, OPENING.leaf(), INDEX, PROOF, NOTE)


def fault(receipt: bytes | str, key: str | VerifierKey = KEY, opening: Opening | None = None) -> ReceiptError:
    with pytest.raises(ReceiptError) as caught:
        receipts.verify(receipt, key, opening=opening)
    return caught.value


def altered(change: Callable[[dict[str, Any]], None]) -> str:
    """The receipt with a field changed and everything else as before, spelled as receipts are."""
    document = json.loads(RECEIPT)
    change(document)
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def test_a_receipt_proves_its_entry_with_nothing_but_the_public_key() -> None:
    verified = receipts.verify(RECEIPT, str(KEY))
    assert verified.entry == ENTRY
    assert verified.kind == "deletion"
    assert (verified.leaf_index, verified.checkpoint, verified.key) == (INDEX, HEAD, KEY)
    assert verified.final_time == datetime(2026, 12, 24, 10, 15, tzinfo=UTC)
    assert receipts.verify(RECEIPT.encode(), KEY) == verified


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_a_receipt_with_any_byte_changed_is_refused(flip: int) -> None:
    raw = RECEIPT.encode()
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= flip
        assert str(fault(bytes(changed))), "every refusal gives its reason"


@pytest.mark.parametrize("byte", [b" ", b"\n", b",", b"A", b"0"])
def test_a_receipt_with_a_byte_more_or_fewer_anywhere_is_refused(byte: bytes) -> None:
    raw = RECEIPT.encode()
    for at in range(len(raw) + 1):
        fault(raw[:at] + byte + raw[at:])
        if at < len(raw):
            fault(raw[:at] + raw[at + 1 :])


def test_a_receipt_cut_short_says_so() -> None:
    for length in (0, 1, 40, len(RECEIPT) // 2, len(RECEIPT) - 2, len(RECEIPT) - 1):
        assert fault(RECEIPT[:length]).fault is ReceiptFault.TRUNCATED


def set_in_entry(field: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["opening"]["entry"].update({field: value})


@pytest.mark.parametrize("field", sorted(ENTRY))
def test_an_altered_field_of_the_entry_is_named_as_such(field: str) -> None:
    value = ENTRY[field]
    changed = value + 1 if isinstance(value, int) else f"{value}!"
    refusal = fault(altered(set_in_entry(field, changed)))
    assert (refusal.fault, refusal.field) == (ReceiptFault.ENTRY_ALTERED, "opening")
    assert fault(altered(lambda document: document["opening"]["entry"].pop(field))).fault is refusal.fault


ZEROS = notes.encode(bytes(32))
OTHER_NOTE = notes.sign_note(
    Checkpoint("other.example/log", SIZE, HEAD.root).text(), "other.example/log", SECRET
)
STOLEN_NOTE = notes.sign_note(Checkpoint("other.example/log", SIZE, HEAD.root).text(), LOG, SECRET)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d["opening"].update(salt=ZEROS), ReceiptFault.ENTRY_ALTERED),
        (lambda d: d.update(leaf=ZEROS), ReceiptFault.ENTRY_ALTERED),
        (lambda d: d.update(leaf_index=INDEX - 1), ReceiptFault.PROOF_WRONG),
        (lambda d: d.update(leaf_index=SIZE), ReceiptFault.PROOF_WRONG),
        (lambda d: d.update(leaf_index=-1), ReceiptFault.PROOF_WRONG),
        (lambda d: d["inclusion_proof"].reverse(), ReceiptFault.PROOF_WRONG),
        (lambda d: d["inclusion_proof"].pop(), ReceiptFault.PROOF_WRONG),
        (lambda d: d["inclusion_proof"].append(ZEROS), ReceiptFault.PROOF_WRONG),
        (lambda d: d["inclusion_proof"].__setitem__(0, ZEROS), ReceiptFault.PROOF_WRONG),
        (lambda d: d.update(checkpoint=NOTE.replace("\n7\n", "\n8\n")), ReceiptFault.CHECKPOINT_ALTERED),
        (lambda d: d.update(checkpoint=OTHER_NOTE), ReceiptFault.OTHER_LOG),
        (lambda d: d.update(checkpoint=STOLEN_NOTE), ReceiptFault.OTHER_LOG),
        (lambda d: d.update(checkpoint=NOTE[:-9]), ReceiptFault.MALFORMED),
        (lambda d: d.pop("opening"), ReceiptFault.OPENING_MISSING),
    ],
)
def test_each_other_part_has_its_own_reason(
    change: Callable[[dict[str, Any]], None], expected: ReceiptFault
) -> None:
    assert fault(altered(change)).fault is expected


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="idv-receipt/2"),
        lambda d: d.update(more=1),
        lambda d: d.pop("leaf"),
        lambda d: d.update(leaf=notes.encode(bytes(31))),
        lambda d: d.update(leaf_index=True),
        lambda d: d.update(leaf_index=5.0),
        lambda d: d.update(leaf_index="5"),
        lambda d: d.update(inclusion_proof=[1]),
        lambda d: d.update(inclusion_proof=["no base64"]),
        lambda d: d.update(opening=None),
        lambda d: d["opening"].update(more=1),
        lambda d: d["opening"].update(salt=1),
        lambda d: d["opening"].update(entry=[]),
        lambda d: d["opening"]["entry"].update(record_count=9.0),
        lambda d: d["opening"]["entry"].update(record_count=1 << 53),
        lambda d: d["opening"]["entry"].update(record_count=None),
        lambda d: d["opening"]["entry"].update(other=["list"]),
        lambda d: d["opening"]["entry"].update({"ä": 1}),
    ],
)
def test_a_document_that_is_no_receipt_is_malformed(change: Callable[[dict[str, Any]], None]) -> None:
    assert fault(altered(change)).fault is ReceiptFault.MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "{\n}\n",
        "no JSON\n}\n",
        '[{"format": "idv-receipt/1"\n}\n',
        '{"a": {}\n}\n',
        "[" * 60_000 + "\n}\n",
        "{" + " " * receipts.MAX_SIZE + "\n}\n",
        json.dumps(json.loads(RECEIPT), indent=1) + "\n",
        RECEIPT.replace('"format"', '"format": "idv-receipt/1",\n  "format"'),
        "\ufeff" + RECEIPT,
        "\ud800\n}\n",
        b"\xff\n}\n",
    ],
)
def test_anything_else_is_malformed(text: str | bytes) -> None:
    assert fault(text).fault is ReceiptFault.MALFORMED


@given(st.binary(max_size=400))
def test_no_input_does_more_than_be_refused(data: bytes) -> None:
    fault(data)


def test_another_key_of_the_same_log_is_a_wrong_key() -> None:
    assert fault(RECEIPT, OTHER_KEY).fault is ReceiptFault.WRONG_KEY


def test_the_key_of_another_log_names_that_log() -> None:
    refusal = fault(RECEIPT, VerifierKey("other.example/log", KEY.public_key))
    assert refusal.fault is ReceiptFault.OTHER_LOG
    assert LOG in str(refusal)


@pytest.mark.parametrize("key", ["", "\n", "no key", str(KEY)[:-1], str(KEY).replace("idv", "idw")])
def test_a_key_that_cannot_be_read_proves_nothing(key: str) -> None:
    assert fault(RECEIPT, key).fault in {ReceiptFault.WRONG_KEY, ReceiptFault.OTHER_LOG}


def test_a_log_that_changed_its_key_is_verified_with_both() -> None:
    both = f"{OTHER_KEY}\n{KEY}\n"
    assert receipts.verify(RECEIPT, both).key == KEY


def test_a_receipt_without_its_opening_is_verified_with_the_opening_that_the_customer_kept() -> None:
    assert receipts.without_opening(RECEIPT) == receipts.without_opening(BARE) == BARE
    assert fault(BARE).fault is ReceiptFault.OPENING_MISSING
    assert receipts.verify(BARE, KEY, opening=OPENING).entry == ENTRY
    assert fault(BARE, opening=Opening(bytes(32), OPENING.entry)).fault is ReceiptFault.ENTRY_ALTERED
    for junk in (b"", b"[]", b"{}", b'{"kind":1}'):
        assert fault(BARE, opening=Opening(OPENING.salt, junk)).fault is ReceiptFault.ENTRY_ALTERED


def test_an_entry_that_does_not_say_what_it_is_proves_nothing_though_it_was_logged() -> None:
    opening = Opening(bytes(32), b"{}")
    leaf = merkle.leaf_hash(opening.leaf())
    note = notes.sign_note(Checkpoint(LOG, 1, leaf).text(), LOG, SECRET)
    assert fault(receipts.render(opening, opening.leaf(), 0, [], note)).fault is ReceiptFault.MALFORMED


def test_only_who_knows_request_and_target_can_tell_what_was_deleted() -> None:
    verified = receipts.verify(RECEIPT, KEY)
    assert verified.covers(REQUEST_ID, TARGET)
    assert verified.covers(REQUEST_ID.upper(), TARGET)
    assert not verified.covers(REQUEST_ID, {"subject": "somebody else"})
    assert not verified.covers(REQUEST_ID, {"record": TARGET["subject"]})
    assert not verified.covers("7f0e4a52-6a1b-4a53-8c58-2f1f0f7b8f12", TARGET)
    assert "4711" not in RECEIPT
    assert REQUEST_ID not in RECEIPT


def test_the_canonical_entry_is_that_of_the_standard() -> None:
    # The example of RFC 8785, section 3.2.2, without the numbers that entries cannot hold.
    entry = {"string": '\u20ac$\u000f\nA\'B"\\\\"/', "big": "x", "a": {"c": 1, "b": -2}}
    assert receipts.canonical(entry).decode() == (
        '{"a":{"b":-2,"c":1},"big":"x","string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_the_example_in_the_documentation_verifies() -> None:
    page = (Path(__file__).parents[2] / "docs" / "receipts.md").read_text()
    blocks = dict(re.findall(r"^```(json|)\n(.*?)^```$", page.partition("## An example")[2], re.M | re.S))
    verified = receipts.verify(blocks["json"], blocks[""])
    assert verified.covers("7f0e4a52-6a1b-4a53-8c58-2f1f0f7b8f11", {"subject": "user-17"})
    for field in verified.entry:
        assert f"`{field}`" in page.partition("## The entry")[2], "each field of an entry is explained"
