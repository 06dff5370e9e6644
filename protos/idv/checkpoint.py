"""Signed checkpoints of the transparency log, by the C2SP formats tlog-checkpoint and signed-note. Pure.

A checkpoint is a text of three lines (the log's origin, its size in leaves, the base64 of its Merkle root), a
blank line, and one line for each signature: an em dash, the key's name, and the base64 of the key id (4
bytes) followed by an Ed25519 signature over the text. A log signs under its origin as the key's name. Parsing
is strict: one checkpoint has one spelling.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from idv.merkle import HASH_SIZE, MAX_SIZE

ED25519 = 1  # signature type of signed-note
KEY_ID_SIZE, PUBLIC_KEY_SIZE, SIGNATURE_SIZE = 4, 32, 64
MAX_NOTE_SIZE = 65536  # characters
MARK = "\u2014 "
"""How each signature line begins."""


class NoteError(ValueError):
    """The note cannot be trusted; each subclass is one reason, the message says what is wrong where."""


class MalformedNoteError(NoteError):
    """The text is not spelled as the format demands."""


class UnknownKeyError(NoteError):
    """No signature is by one of the keys given."""


class BadSignatureError(NoteError):
    """A signature claims one of the keys given and does not fit the text."""


class OtherLogError(NoteError):
    """The signature is good, but the checkpoint is another log's."""


@dataclass(frozen=True)
class VerifierKey:
    """The public key of a log. `str()` writes it as `<name>+<key id in hex>+<base64 of type and key>`."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_SIZE:
            raise MalformedNoteError(f"the public key is not {PUBLIC_KEY_SIZE} bytes long")

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Reads the one-line form. Raises MalformedNoteError with what is wrong."""
        name, plus, rest = text.partition("+")
        key_id, second_plus, material = rest.partition("+")
        if not (plus and second_plus):
            raise MalformedNoteError("a verifier key has the form name+id+key")
        raw = decode(material, "the verifier key")
        if len(raw) != 1 + PUBLIC_KEY_SIZE or raw[0] != ED25519:
            raise MalformedNoteError("the verifier key is no Ed25519 key")
        key = cls(name, raw[1:])
        if key.key_id.hex() != key_id:
            raise MalformedNoteError("the id in the verifier key is not the id of its name and key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode(bytes([ED25519]) + self.public_key)}"

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name ‖ newline ‖ type ‖ public key)."""
        material = self.name.encode() + b"\n" + bytes([ED25519]) + self.public_key
        return hashlib.sha256(material).digest()[:KEY_ID_SIZE]

    def verify(self, text: str, signature: bytes) -> None:
        """Raises BadSignatureError unless the key signed `text`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except (InvalidSignature, ValueError) as error:
            raise BadSignatureError(f"the signature by {self.name} does not fit the text") from error


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: `size` leaves under the Merkle root `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{encode(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Reads the signed lines, and no extension lines. Raises MalformedNoteError with what is wrong."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise MalformedNoteError("a checkpoint has three lines: origin, size and root")
        origin, size, root = lines[:3]
        if not origin:
            raise MalformedNoteError("the checkpoint names no origin")
        if not (size.isascii() and size.isdigit()) or str(int(size[:20])) != size or int(size) > MAX_SIZE:
            raise MalformedNoteError("the checkpoint's size is no decimal number of leaves")
        checkpoint = cls(origin, int(size), decode(root, "the checkpoint's root"))
        if len(checkpoint.root) != HASH_SIZE:
            raise MalformedNoteError(f"the checkpoint's root is not {HASH_SIZE} bytes long")
        return checkpoint


def sign_note(text: str, name: str, *keys: Ed25519PrivateKey) -> str:
    """The note with `text` (which ends with a newline) and a signature by each key, under the name `name`."""
    lines = []
    for key in keys:
        verifier = VerifierKey(name, key.public_key().public_bytes_raw())
        lines.append(f"{MARK}{name} {encode(verifier.key_id + key.sign(text.encode()))}\n")
    return f"{text}\n{''.join(lines)}"


def open_note(note: str, keys: Iterable[VerifierKey]) -> tuple[str, VerifierKey]:
    """The text of a note signed by one of `keys`, and that key. Signatures by unknown keys are ignored.

    Raises MalformedNoteError, UnknownKeyError or BadSignatureError. A note that carries a wrong signature of
    a known key is refused even when another one is good.
    """
    text, signatures = split_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    good: VerifierKey | None = None
    for name, signature in signatures:
        key = known.get((name, signature[:KEY_ID_SIZE]))
        if key is None:
            continue
        key.verify(text, signature[KEY_ID_SIZE:])
        good = good or key
    if good is None:
        names = ", ".join(sorted({name for name, _ in signatures}))
        raise UnknownKeyError(f"the note is signed by {names}, not by a key that was given")
    return text, good


def open_checkpoint(note: str, keys: Iterable[VerifierKey]) -> tuple[Checkpoint, VerifierKey]:
    """The checkpoint in a note that its log signed, and the key used. Raises NoteError as `open_note` does.

    A log signs as its origin: OtherLogError where the key's name is another.
    """
    text, key = open_note(note, keys)
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != key.name:
        raise OtherLogError(f"the checkpoint is of the log {checkpoint.origin}, the key of {key.name}")
    return checkpoint, key


def encode(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode()


def decode(text: str, what: str) -> bytes:
    """Bytes of standard base64 in its one canonical spelling. Raises MalformedNoteError naming `what`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedNoteError(f"{what} is not base64") from error
    if encode(data) != text:
        raise MalformedNoteError(f"{what} is not spelled as base64 is")
    return data


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The signed text of a note, and of each line the name and key id ‖ signature.

    Raises MalformedNoteError.
    """
    if len(note) > MAX_NOTE_SIZE:
        raise MalformedNoteError(f"the note is longer than {MAX_NOTE_SIZE} characters")
    if any(character < " " and character != "\n" for character in note):
        raise MalformedNoteError("the note holds control characters")
    text, blank, block = note.rpartition("\n\n")
    if not blank or not block.endswith("\n"):
        raise MalformedNoteError("the note has no signature after a blank line")
    return text + "\n", [parse_signature(line) for line in block[:-1].split("\n")]


def parse_signature(line: str) -> tuple[str, bytes]:
    """The name and key id ‖ signature of one signature line. Raises MalformedNoteError."""
    if not line.startswith(MARK):
        raise MalformedNoteError("a signature line does not begin with an em dash and a space")
    name, space, value = line.removeprefix(MARK).partition(" ")
    if not space:
        raise MalformedNoteError("a signature line has no signature")
    check_name(name)
    signature = decode(value, f"the signature by {name}")
    if len(signature) <= KEY_ID_SIZE:
        raise MalformedNoteError(f"the signature by {name} is too short")
    return name, signature


def check_name(name: str) -> None:
    """Raises MalformedNoteError unless a key may have this name."""
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise MalformedNoteError("a key's name is not empty and holds neither spaces nor a plus sign")
