"""Forgeries by who holds good receipts of the same log, old checkpoints, or keys of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import checkpoint as notes
from idv import merkle, receipts
from idv.checkpoint import Checkpoint, VerifierKey
from idv.cosignature import WitnessKey, attach, cosign
from idv.receipts import Opening, ReceiptFault

LOG = "idv.example/log"
SECRET, NEXT, WITNESS, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([at] * 32)) for at in range(4))
KEY = VerifierKey(LOG, SECRET.public_key().public_bytes_raw())
NEXT_KEY = VerifierKey(LOG, NEXT.public_key().public_bytes_raw())
SEEN_BY = WitnessKey("witness.example/one", WITNESS.public_key().public_bytes_raw())
OTHER_WITNESS = WitnessKey("witness.example/two", STRANGER.public_key().public_bytes_raw())
TIME = 1_795_500_000
SIZE = 11

ENTRIES = [{"kind": "deletion", "record_count": number, "claim": f"entry {number}"} for number in range(SIZE)]
OPENINGS = [Opening(bytes([at] * 32), receipts.canonical(entry)) for at, entry in enumerate(ENTRIES)]
HASHES = [merkle.leaf_hash(opening.leaf()) for opening in OPENINGS]


def head(size: int, *keys: Ed25519PrivateKey) -> str:
    text = Checkpoint(LOG, size, merkle.root(HASHES[:size])).text()
    return notes.sign_note(text, LOG, *(keys or (SECRET,)))


def cosigned(note: str, key: Ed25519PrivateKey = WITNESS, name: str = SEEN_BY.name, time: int = TIME) -> str:
    return attach(note, [cosign(notes.split_note(note)[0], name, key, time)])


def receipt(index: int, size: int = SIZE, note: str | None = None) -> str:
    proof = merkle.prove(merkle.inclusion_plan(index, size), merkle.build(HASHES[:size]))
    opening = OPENINGS[index]
    return receipts.render(opening, opening.leaf(), index, proof, note or head(size))


def mixed(good: str, **parts: Any) -> str:
    """A receipt with parts of others, spelled as receipts are."""
    document = json.loads(good) | parts
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def part(of: str, name: str) -> Any:
    return json.loads(of)[name]


def refused(text: str, **given: Any) -> ReceiptFault:
    with pytest.raises(receipts.ReceiptError) as caught:
        receipts.verify(text, given.pop("key", KEY), **given)
    assert str(caught.value), "every refusal gives its reason"
    return caught.value.fault


@pytest.mark.parametrize("index", range(SIZE))
def test_the_proof_of_another_leaf_proves_nothing(index: int) -> None:
    good = receipt(index)
    assert receipts.verify(good, KEY).entry == ENTRIES[index]
    for other in set(range(SIZE)) - {index}:
        theirs = receipt(other)
        proof = part(theirs, "inclusion_proof")
        assert refused(mixed(good, inclusion_proof=proof)) is ReceiptFault.PROOF_WRONG
        assert refused(mixed(good, inclusion_proof=proof, leaf_index=other)) is ReceiptFault.PROOF_WRONG
        assert refused(mixed(good, leaf=part(theirs, "leaf"))) is ReceiptFault.ENTRY_ALTERED
        assert refused(mixed(good, opening=part(theirs, "opening"))) is ReceiptFault.ENTRY_ALTERED


@pytest.mark.parametrize("older", range(SIZE))
def test_an_older_checkpoint_does_not_prove_a_later_leaf_or_with_a_later_proof(older: int) -> None:
    assert refused(mixed(receipt(SIZE - 1), checkpoint=head(older))) is ReceiptFault.PROOF_WRONG
    if older:
        good = receipt(0, older)
        assert receipts.verify(good, KEY).checkpoint.size == older
        assert refused(mixed(good, checkpoint=head(SIZE))) is ReceiptFault.PROOF_WRONG


def test_a_checkpoint_of_another_history_proves_no_leaf_of_this_one() -> None:
    forged = Checkpoint(LOG, SIZE, merkle.root([*HASHES[:-1], bytes(32)])).text()
    note = notes.sign_note(forged, LOG, SECRET)
    assert refused(receipt(3, note=note)) is ReceiptFault.PROOF_WRONG


def test_who_signs_with_a_key_of_their_own_under_the_logs_name_is_not_believed() -> None:
    assert refused(receipt(3, note=head(SIZE, STRANGER))) is ReceiptFault.WRONG_KEY
    claimed = VerifierKey(LOG, STRANGER.public_key().public_bytes_raw())
    note = head(SIZE, STRANGER).replace(
        notes.encode(claimed.key_id + _signature(head(SIZE, STRANGER))),
        notes.encode(KEY.key_id + _signature(head(SIZE, STRANGER))),
    )
    assert refused(receipt(3, note=note)) is ReceiptFault.CHECKPOINT_ALTERED


def _signature(note: str) -> bytes:
    return notes.split_note(note)[1][0][1][4:]


@pytest.mark.parametrize("key", [KEY, NEXT_KEY])
def test_during_a_change_of_keys_each_of_the_two_verifies_alone(key: VerifierKey) -> None:
    both = receipt(3, note=head(SIZE, SECRET, NEXT))
    assert receipts.verify(both, key).key == key
    assert receipts.verify(both, f"{KEY}\n{NEXT_KEY}").key == KEY


def test_of_two_signatures_a_wrong_one_by_a_key_that_is_known_is_refused() -> None:
    note = head(SIZE, SECRET, NEXT)
    lines = note.splitlines(keepends=True)
    other = head(SIZE - 1, SECRET, NEXT).splitlines(keepends=True)
    assert refused(receipt(3, note="".join([*lines[:-1], other[-1]])), key=f"{KEY}\n{NEXT_KEY}") is (
        ReceiptFault.CHECKPOINT_ALTERED
    )


def test_a_witnessed_receipt_verifies_and_tells_by_whom_and_when() -> None:
    proven = receipts.verify(receipt(3, note=cosigned(head(SIZE))), KEY, witnesses=str(SEEN_BY))
    (one,) = proven.cosignatures
    assert (one.witness, int(one.time.timestamp())) == (SEEN_BY, TIME)


def test_without_cosignatures_a_quorum_is_not_met() -> None:
    plain = receipt(3)
    assert refused(plain, witnesses=[SEEN_BY]) is ReceiptFault.NOT_WITNESSED
    assert receipts.verify(plain, KEY, witnesses=[SEEN_BY], quorum=0).cosignatures == ()
    one_of_two = receipt(3, note=cosigned(head(SIZE)))
    both = [SEEN_BY, OTHER_WITNESS]
    assert refused(one_of_two, witnesses=both) is ReceiptFault.NOT_WITNESSED
    assert receipts.verify(one_of_two, KEY, witnesses=both, quorum=1)


def test_one_witness_named_twice_counts_once() -> None:
    note = cosigned(cosigned(head(SIZE)), time=TIME + 1)
    assert len(receipts.verify(receipt(3, note=note), KEY, witnesses=[SEEN_BY, SEEN_BY]).cosignatures) == 1
    both = [SEEN_BY, OTHER_WITNESS]
    assert refused(receipt(3, note=note), witnesses=both, quorum=2) is ReceiptFault.NOT_WITNESSED


def test_the_cosignature_of_a_stranger_counts_for_none_whatever_name_it_bears() -> None:
    for name in ("stranger.example", SEEN_BY.name):
        note = cosigned(head(SIZE), STRANGER, name)
        assert receipts.verify(receipt(3, note=note), KEY), "and disturbs nobody who asks for none"
        assert refused(receipt(3, note=note), witnesses=[SEEN_BY]) is ReceiptFault.NOT_WITNESSED


def test_the_logs_own_signature_is_no_cosignature() -> None:
    itself = WitnessKey(LOG, KEY.public_key)
    assert refused(receipt(3), witnesses=[itself]) is ReceiptFault.NOT_WITNESSED


def _line(note: str) -> str:
    return note.splitlines()[-1]


@pytest.mark.parametrize(
    "forge",
    [
        lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),  # the signature
        lambda raw: raw[:11] + bytes([raw[11] ^ 1]) + raw[12:],  # the time
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: raw[:4] + raw[12:],  # without a time, as a log signs
    ],
)
def test_an_altered_cosignature_of_a_known_witness_is_refused(forge: Callable[[bytes], bytes]) -> None:
    note = cosigned(head(SIZE))
    raw = notes.decode(_line(note).rsplit(" ", 1)[1], "the line")
    changed = note.replace(notes.encode(raw), notes.encode(forge(raw)))
    assert refused(receipt(3, note=changed), witnesses=[SEEN_BY]) is ReceiptFault.COSIGNATURE_ALTERED


def test_a_cosignature_of_an_older_checkpoint_does_not_fit_a_later_one() -> None:
    moved = attach(head(SIZE), [_line(cosigned(head(SIZE - 1)))])
    assert refused(receipt(3, note=moved), witnesses=[SEEN_BY]) is ReceiptFault.COSIGNATURE_ALTERED


def test_a_cosignature_that_names_no_time_is_refused() -> None:
    note = cosigned(head(SIZE), time=0)
    assert refused(receipt(3, note=note), witnesses=[SEEN_BY]) is ReceiptFault.COSIGNATURE_ALTERED


@pytest.mark.parametrize("text", ["no key", str(KEY), str(SEEN_BY)[:-2], str(SEEN_BY).replace("one", "two")])
def test_a_witness_key_that_cannot_be_read_is_a_wrong_key(text: str) -> None:
    assert refused(receipt(3), witnesses=text) is ReceiptFault.WRONG_KEY


@pytest.mark.parametrize("quorum", [-1, 2])
def test_a_quorum_that_cannot_be_had_is_the_callers_error(quorum: int) -> None:
    with pytest.raises(ValueError, match="quorum"):
        receipts.verify(receipt(3), KEY, witnesses=[SEEN_BY], quorum=quorum)


def test_a_renewed_receipt_is_of_the_same_entry_and_no_other() -> None:
    proof = merkle.prove(merkle.inclusion_plan(3, SIZE), merkle.build(HASHES))
    renewed = receipts.renew(receipt(3, 5), proof, cosigned(head(SIZE)))
    assert receipts.verify(renewed, KEY, witnesses=[SEEN_BY]).entry == ENTRIES[3]
    assert receipts.leaf_index(renewed) == 3
    other = merkle.prove(merkle.inclusion_plan(4, SIZE), merkle.build(HASHES))
    assert refused(receipts.renew(receipt(3, 5), other, head(SIZE))) is ReceiptFault.PROOF_WRONG
