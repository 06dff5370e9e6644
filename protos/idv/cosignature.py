"""Cosignatures of witnesses, by the C2SP format tlog-cosignature (cosignature/v1). Pure.

A witness keeps the newest checkpoint of a log that it has seen and cosigns a later one only if that extends
it. So whoever holds a cosigned checkpoint knows that this witness was never shown another history. A
cosignature is one more signature line of the checkpoint's note: key id, the time in seconds as eight bytes,
and an Ed25519 signature over that time and the checkpoint's text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from idv.checkpoint import (
    KEY_ID_SIZE,
    MARK,
    PUBLIC_KEY_SIZE,
    SIGNATURE_SIZE,
    BadSignatureError,
    MalformedNoteError,
    check_name,
    decode,
    encode,
    parse_signature,
    split_note,
)

COSIGNATURE = 4  # signature type of cosignature/v1
_TIME_SIZE = 8
_LAST_SECOND = 253402300799  # of the year 9999


@dataclass(frozen=True)
class WitnessKey:
    """The public key of a witness. `str()` writes it as `<name>+<key id in hex>+<base64 of type and key>`."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_SIZE:
            raise MalformedNoteError(f"the public key is not {PUBLIC_KEY_SIZE} bytes long")

    @classmethod
    def parse(cls, text: str) -> WitnessKey:
        """Reads the one-line form. Raises MalformedNoteError with what is wrong."""
        name, plus, rest = text.partition("+")
        key_id, second_plus, material = rest.partition("+")
        if not (plus and second_plus):
            raise MalformedNoteError("a witness's key has the form name+id+key")
        raw = decode(material, "the witness's key")
        if len(raw) != 1 + PUBLIC_KEY_SIZE or raw[0] != COSIGNATURE:
            raise MalformedNoteError("the key is no key of a witness (Ed25519, cosignature/v1)")
        key = cls(name, raw[1:])
        if key.key_id.hex() != key_id:
            raise MalformedNoteError("the id in the witness's key is not the id of its name and key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode(bytes([COSIGNATURE]) + self.public_key)}"

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name ‖ newline ‖ type ‖ public key)."""
        material = self.name.encode() + b"\n" + bytes([COSIGNATURE]) + self.public_key
        return hashlib.sha256(material).digest()[:KEY_ID_SIZE]


@dataclass(frozen=True)
class Cosignature:
    """That a witness saw a checkpoint extend all that it saw before, and when, by the witness's own clock."""

    witness: WitnessKey
    time: datetime


def cosign(text: str, name: str, key: Ed25519PrivateKey, seconds: int) -> str:
    """The signature line, without its newline, by which the witness `name` cosigns a checkpoint's `text`.

    `seconds` since 1970 by the witness's clock.
    """
    witness = WitnessKey(name, key.public_key().public_bytes_raw())
    time = seconds.to_bytes(_TIME_SIZE, "big")
    return f"{MARK}{name} {encode(witness.key_id + time + key.sign(_signed(seconds, text)))}"


def attach(note: str, lines: Iterable[str]) -> str:
    """The note with more signature lines, those that it has already left out."""
    fresh = [line for line in dict.fromkeys(lines) if f"\n{line}\n" not in note]
    return note + "".join(f"{line}\n" for line in fresh)


def cosignatures(note: str, witnesses: Iterable[WitnessKey]) -> list[Cosignature]:
    """The cosignatures of `witnesses` that a note carries, one for each. Others' lines are ignored.

    Raises MalformedNoteError, or BadSignatureError where a line claims one of these keys and does not fit.
    """
    text, signatures = split_note(note)
    known = {(witness.name, witness.key_id): witness for witness in witnesses}
    found: dict[WitnessKey, Cosignature] = {}
    for name, signature in signatures:
        witness = known.get((name, signature[:KEY_ID_SIZE]))
        if witness is not None:
            found.setdefault(witness, _verified(witness, text, signature[KEY_ID_SIZE:]))
    return list(found.values())


def verify_line(line: str, text: str, witness: WitnessKey) -> Cosignature:
    """The cosignature in one signature line over a checkpoint's `text`. Raises NoteError."""
    name, signature = parse_signature(line)
    if (name, signature[:KEY_ID_SIZE]) != (witness.name, witness.key_id):
        raise BadSignatureError(f"the line is not by the key of {witness.name}")
    return _verified(witness, text, signature[KEY_ID_SIZE:])


def _verified(witness: WitnessKey, text: str, timed: bytes) -> Cosignature:
    if len(timed) != _TIME_SIZE + SIGNATURE_SIZE:
        raise BadSignatureError(f"the cosignature by {witness.name} has not the length of one")
    seconds = int.from_bytes(timed[:_TIME_SIZE], "big")
    try:
        key = Ed25519PublicKey.from_public_bytes(witness.public_key)
        key.verify(timed[_TIME_SIZE:], _signed(seconds, text))
    except (InvalidSignature, ValueError) as error:
        message = f"the cosignature by {witness.name} does not fit the checkpoint"
        raise BadSignatureError(message) from error
    if not 0 < seconds <= _LAST_SECOND:
        raise BadSignatureError(f"the cosignature by {witness.name} names no time")
    return Cosignature(witness, datetime.fromtimestamp(seconds, UTC))


def _signed(seconds: int, text: str) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
