"""The document that a receipt is: its fields, its one spelling, and what makes it no receipt.

`idv.receipts` says what each field holds, and verifies it. Nothing here looks at signatures or proofs.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idv import checkpoint as notes

FORMAT = "idv-receipt/1"
SALT_SIZE = 32
MAX_SIZE = 1 << 17  # bytes
_FIELDS = {"format": str, "leaf": str, "leaf_index": int, "inclusion_proof": list, "checkpoint": str}


class ReceiptFault(enum.Enum):
    """Why a receipt is refused."""

    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    OPENING_MISSING = "opening-missing"
    ENTRY_ALTERED = "entry-altered"
    PROOF_WRONG = "proof-wrong"
    CHECKPOINT_ALTERED = "checkpoint-altered"
    WRONG_KEY = "wrong-key"
    OTHER_LOG = "other-log"
    COSIGNATURE_ALTERED = "cosignature-altered"
    NOT_WITNESSED = "not-witnessed"


class ReceiptError(ValueError):
    """The receipt proves nothing: `fault` says why, `field` where, the message in one sentence."""

    def __init__(self, fault: ReceiptFault, message: str, field: str = "") -> None:
        super().__init__(message)
        self.fault = fault
        self.field = field


@dataclass(frozen=True)
class Opening:
    """What a leaf commits to: the salt (32 bytes) and the canonical entry (`canonical`)."""

    salt: bytes
    entry: bytes

    def leaf(self) -> bytes:
        """The data of the leaf: HMAC-SHA256(salt, entry), 32 bytes."""
        return hmac.digest(self.salt, self.entry, hashlib.sha256)


def canonical(entry: Mapping[str, Any]) -> bytes:
    """The entry as JSON by RFC 8785: keys sorted, no spaces.

    Entries hold strings, whole numbers within 2**53 and objects of these, under ASCII keys: for those this is
    the whole of RFC 8785. Raises ValueError for anything else.
    """
    _check_plain(entry)
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse(receipt: bytes | str) -> dict[str, Any]:
    """The document in a receipt, each field there and of its type, spelled as issued. Raises ReceiptError."""
    try:
        text = receipt.decode() if isinstance(receipt, bytes) else receipt
        if len(text.encode()) > MAX_SIZE:
            raise _malformed(f"the receipt is longer than {MAX_SIZE} bytes")
    except UnicodeError as error:
        raise _malformed("the receipt is no text in UTF-8") from error
    if not text.endswith("\n}\n"):
        raise ReceiptError(ReceiptFault.TRUNCATED, "the receipt does not end as one does: it was cut short")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("the receipt is no JSON document") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _malformed(f"the document is not of the format {FORMAT}", "format")
    for field, kind in _FIELDS.items():
        if type(document.get(field)) is not kind:  # a JSON `true` is no number here
            raise _malformed(f"the receipt's {field} is missing or of another type", field)
    for field in document.keys() - _FIELDS.keys() - {"opening"}:
        raise _malformed("the receipt holds a field that receipts do not have", field)
    if spell(document) != text:
        raise _malformed("the receipt is not spelled as it was issued: keep the file as it is")
    return document


def opening_of(document: Mapping[str, Any]) -> Opening | None:
    """The opening that a parsed receipt holds, if it holds one. Raises ReceiptError."""
    if "opening" not in document:
        return None
    opening = document["opening"]
    if (
        not isinstance(opening, dict)
        or opening.keys() != {"entry", "salt"}
        or type(opening["salt"]) is not str
    ):
        raise _malformed("the receipt's opening is not a salt and an entry", "opening")
    try:
        entry = canonical(opening["entry"])
    except ValueError as error:
        raise _malformed("the receipt's entry holds what entries do not hold", "opening.entry") from error
    return Opening(decode(opening["salt"], "opening.salt"), entry)


def entry_of(text: bytes) -> Mapping[str, Any]:
    """A canonical entry, read. Raises ReceiptError unless it says what it stands for."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("the entry is no JSON document", "opening.entry") from error
    if not isinstance(entry, dict) or type(entry.get("kind")) is not str:
        raise _malformed("the entry does not say what it stands for", "opening.entry.kind")
    return entry


def decode(value: object, field: str) -> bytes:
    """The 32 bytes of a salt, leaf or hash in base64. Raises ReceiptError about `field`."""
    try:
        if not isinstance(value, str):
            raise _malformed(f"the receipt's {field} is no text", field)
        data = notes.decode(value, f"the receipt's {field}")
    except notes.NoteError as error:
        raise _malformed(str(error), field) from error
    if len(data) != SALT_SIZE:  # salts, leaves and hashes alike
        raise _malformed(f"the receipt's {field} is not {SALT_SIZE} bytes long", field)
    return data


def _check_plain(value: object) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str or not key.isascii() or isinstance(item, list):
                raise ValueError("an entry's keys are ASCII, and no entry holds a list")
            _check_plain(item)
    elif type(value) is int:
        if abs(value) >= 1 << 53:
            raise ValueError("a number in an entry is beyond 2**53")
    elif type(value) is not str:
        raise ValueError("an entry holds strings, whole numbers and objects of these")


def spell(document: Mapping[str, Any]) -> str:
    """The document in the one spelling that is issued."""
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _malformed(message: str, field: str = "") -> ReceiptError:
    return ReceiptError(ReceiptFault.MALFORMED, message, field)
