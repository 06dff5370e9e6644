"""Receipts: a file that proves, without access to the service, that a deletion is in its log.

A receipt is a JSON document in one fixed spelling (keys sorted, two spaces of indent, a final newline):

    format           `idv-receipt/1`
    opening          the salt (base64, 32 bytes) and the entry that was logged; absent once no longer kept
    leaf             base64 of HMAC-SHA256(salt, canonical entry): the data of the log's leaf
    leaf_index       the leaf's place in the log
    inclusion_proof  base64 of each hash of the proof by RFC 9162, from the leaf upwards
    checkpoint       the signed note that carries the log's root

The entry names no person. What was deleted stands in it only as `request`: a digest keyed by the request's
id, which the receipt does not hold, so that only who knows both can show what it was (`commitment`).

A receipt proves what the service signed and when it said so, not that no copy exists anywhere. A log that
shows different people different histories is found by comparing checkpoints
(`idv.merkle.verify_consistency`), or by asking for the cosignatures of witnesses (`idv.cosignature`).
A daily statement has the same form.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from idv import checkpoint as notes
from idv import merkle
from idv.checkpoint import Checkpoint, VerifierKey
from idv.cosignature import Cosignature, WitnessKey, cosignatures
from idv.receipt_document import (
    FORMAT,
    MAX_SIZE,
    SALT_SIZE,
    Opening,
    ReceiptError,
    ReceiptFault,
    canonical,
    decode,
    entry_of,
    opening_of,
    parse,
    spell,
)

__all__ = [
    "FORMAT",
    "MAX_SIZE",
    "SALT_SIZE",
    "Opening",
    "ReceiptError",
    "ReceiptFault",
    "VerifiedReceipt",
    "canonical",
    "commitment",
    "leaf_index",
    "render",
    "renew",
    "verify",
    "without_opening",
]


@dataclass(frozen=True)
class VerifiedReceipt:
    """What a receipt proves: that the log whose key was given holds `entry` at `leaf_index`.

    `cosignatures` are those of the witnesses whose keys were given.
    """

    entry: Mapping[str, Any]
    leaf_index: int
    checkpoint: Checkpoint
    key: VerifierKey
    cosignatures: tuple[Cosignature, ...] = ()

    @property
    def kind(self) -> str:
        """What the entry stands for, such as `deletion`."""
        return str(self.entry["kind"])

    @property
    def final_time(self) -> datetime | None:
        """From when on no copy that the service controls can be opened, where the entry says so."""
        text = self.entry.get("final_time")
        return datetime.fromisoformat(text) if isinstance(text, str) else None

    def covers(self, request_id: str, target: Mapping[str, Any]) -> bool:
        """Whether the deletion was of `target`, asked for under `request_id`: see `commitment`."""
        return hmac.compare_digest(str(self.entry.get("request")), commitment(request_id, target))


def commitment(request_id: str, target: Mapping[str, Any]) -> str:
    """The `request` of a deletion's entry: HMAC-SHA256 in hex, keyed by the request id, over the target.

    The target is an object of one key: `{"subject": "..."}`, `{"record": "customers/..."}`, `session` and
    `category` likewise, `{"everything": "true"}`, `{"received": {"start_time": T, "end_time": T}}` with T
    such as `2026-11-24T10:00:00.000000Z`, or of several `{"targets": {"0": {...}, "1": {...}}}`: records,
    sessions, subjects and categories, in this order.
    """
    return hmac.digest(request_id.lower().encode(), canonical(target), hashlib.sha256).hex()


def render(opening: Opening | None, leaf: bytes, leaf_index: int, proof: Sequence[bytes], note: str) -> str:
    """The text of a receipt. `opening` is left out where it is no longer known."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "leaf": notes.encode(leaf),
        "leaf_index": leaf_index,
        "inclusion_proof": [notes.encode(hash_) for hash_ in proof],
        "checkpoint": note,
    }
    if opening is not None:
        document["opening"] = {"entry": json.loads(opening.entry), "salt": notes.encode(opening.salt)}
    return spell(document)


def without_opening(receipt: str) -> str:
    """The receipt without entry and salt; `verify` then needs them from elsewhere. Raises ReceiptError."""
    document = parse(receipt)
    document.pop("opening", None)
    return spell(document)


def renew(receipt: str, proof: Sequence[bytes], note: str) -> str:
    """The same entry under a later checkpoint, such as one that witnesses cosigned. Raises ReceiptError.

    `proof` is the leaf's inclusion proof in the tree of that checkpoint. Nothing is verified here.
    """
    document = parse(receipt)
    document["inclusion_proof"] = [notes.encode(hash_) for hash_ in proof]
    document["checkpoint"] = note
    return spell(document)


def leaf_index(receipt: bytes | str) -> int:
    """Where in the log the receipt says that its leaf stands, unverified. Raises ReceiptError."""
    return int(parse(receipt)["leaf_index"])


def verify(
    receipt: bytes | str,
    public_key: str | VerifierKey,
    *,
    opening: Opening | None = None,
    witnesses: str | Iterable[WitnessKey] = (),
    quorum: int | None = None,
) -> VerifiedReceipt:
    """Checks a receipt with nothing but the log's public key; returns what it proves.

    `public_key` is the log's verifier key, taken from a place you trust; a text may hold several, one a line
    (of a log that changed its key). `opening` serves a receipt that came without one. With the keys of
    `witnesses`, at least `quorum` of them (all, unless it is given) must have cosigned its checkpoint. Raises
    ReceiptError.
    """
    keys = _keys(public_key)
    document = parse(receipt)
    checkpoint, key = _open_checkpoint(document["checkpoint"], keys)
    cosigned = _cosigned(document["checkpoint"], _witness_keys(witnesses), quorum)
    leaf = decode(document["leaf"], "leaf")
    opened = opening_of(document) or opening
    if opened is None:
        raise ReceiptError(
            ReceiptFault.OPENING_MISSING, "the receipt holds no entry, and none was given with it", "opening"
        )
    if not hmac.compare_digest(opened.leaf(), leaf):
        raise ReceiptError(ReceiptFault.ENTRY_ALTERED, "the entry is not the one that was logged", "opening")
    proof = [decode(hash_, "inclusion_proof") for hash_ in document["inclusion_proof"]]
    index = document["leaf_index"]
    try:
        merkle.verify_inclusion(index, checkpoint.size, merkle.leaf_hash(leaf), proof, checkpoint.root)
    except merkle.ProofError as error:
        message = f"the entry is not shown to be in the log at this place: {error}"
        raise ReceiptError(ReceiptFault.PROOF_WRONG, message, "inclusion_proof") from error
    return VerifiedReceipt(entry_of(opened.entry), index, checkpoint, key, cosigned)


def _witness_keys(witnesses: str | Iterable[WitnessKey]) -> list[WitnessKey]:
    if not isinstance(witnesses, str):
        return list(dict.fromkeys(witnesses))
    lines = [line.strip() for line in witnesses.splitlines() if line.strip()]
    try:
        return list(dict.fromkeys(map(WitnessKey.parse, lines)))
    except notes.NoteError as error:
        message = f"the key of a witness cannot be read: {error}"
        raise ReceiptError(ReceiptFault.WRONG_KEY, message) from error


def _cosigned(note: str, witnesses: Sequence[WitnessKey], quorum: int | None) -> tuple[Cosignature, ...]:
    try:
        found = tuple(cosignatures(note, witnesses))
    except notes.BadSignatureError as error:
        raise ReceiptError(ReceiptFault.COSIGNATURE_ALTERED, str(error), "checkpoint") from error
    wanted = len(witnesses) if quorum is None else quorum
    if not 0 <= wanted <= len(witnesses):
        raise ValueError(f"a quorum of {wanted} cannot be had of {len(witnesses)} witnesses")
    if len(found) < wanted:
        message = f"{len(found)} of the witnesses given cosigned the checkpoint, not {wanted}"
        raise ReceiptError(ReceiptFault.NOT_WITNESSED, message, "checkpoint")
    return found


def _keys(public_key: str | VerifierKey) -> list[VerifierKey]:
    if isinstance(public_key, VerifierKey):
        return [public_key]
    try:
        return [VerifierKey.parse(line.strip()) for line in public_key.splitlines() if line.strip()]
    except notes.NoteError as error:
        raise ReceiptError(ReceiptFault.WRONG_KEY, f"the public key cannot be read: {error}") from error


def _open_checkpoint(note: str, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, VerifierKey]:
    try:
        return notes.open_checkpoint(note, keys)
    except notes.NoteError as error:
        fault = _FAULTS.get(type(error), ReceiptFault.MALFORMED)
        if fault is ReceiptFault.WRONG_KEY and note.split("\n", 1)[0] not in {key.name for key in keys}:
            fault = ReceiptFault.OTHER_LOG
        raise ReceiptError(fault, str(error), "checkpoint") from error


_FAULTS = {
    notes.BadSignatureError: ReceiptFault.CHECKPOINT_ALTERED,
    notes.UnknownKeyError: ReceiptFault.WRONG_KEY,
    notes.OtherLogError: ReceiptFault.OTHER_LOG,
}
