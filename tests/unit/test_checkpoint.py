"""Signed checkpoints: published notes are read and reproduced, and one checkpoint has one spelling."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import checkpoint as notes
from idv.checkpoint import Checkpoint, VerifierKey

# The example of the Go package golang.org/x/mod/sumdb/note, whose format signed-note specifies.
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PUBLISHED_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
PUBLISHED_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)
PUBLISHED_NOTE = f"{PUBLISHED_TEXT}\n\u2014 PeterNeumann {PUBLISHED_SIGNATURE}\n"

# The example of the specification of signed-note, and a tree head that the Go checksum database published.
SPECIFIED_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPECIFIED_NOTE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SUMDB_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_NOTE = (
    "go.sum database tree\n30055305\nmXfgRcJ0bG0j3CPdKwgGWtUzBUbX67saZGRmFuJGGsM=\n\n\u2014 sum.golang.org "
    "Az3grpgEild5qw7+5dtV13Kf1C2Xurm8q4fhdxvcsDHnqNTaxL2AFjBY+2TyGKevucFcAAlWFJJYle3EJlDCrQ+y3A8=\n"
)

LOG = "idv.example/log"
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey(LOG, SECRET.public_key().public_bytes_raw())
HEAD = Checkpoint(LOG, 42, bytes(range(32)))
NOTE = notes.sign_note(HEAD.text(), LOG, SECRET)


@pytest.mark.parametrize("text", [PUBLISHED_KEY, SPECIFIED_KEY, SUMDB_KEY])
def test_a_published_verifier_key_is_read_and_written_back(text: str) -> None:
    assert str(VerifierKey.parse(text)) == text


@pytest.mark.parametrize(
    ("key", "note"),
    [(PUBLISHED_KEY, PUBLISHED_NOTE), (SPECIFIED_KEY, SPECIFIED_NOTE), (SUMDB_KEY, SUMDB_NOTE)],
)
def test_a_published_note_verifies_under_its_key(key: str, note: str) -> None:
    text, used = notes.open_note(note, [KEY, VerifierKey.parse(key)])
    assert note.startswith(text + "\n")
    assert str(used) == key


def test_signing_reproduces_the_published_note_byte_for_byte() -> None:
    secret = Ed25519PrivateKey.from_private_bytes(PUBLISHED_SEED)
    assert notes.sign_note(PUBLISHED_TEXT, "PeterNeumann", secret) == PUBLISHED_NOTE


def test_a_published_tree_head_is_read() -> None:
    head = Checkpoint.parse(notes.open_note(SUMDB_NOTE, [VerifierKey.parse(SUMDB_KEY)])[0])
    assert (head.origin, head.size) == ("go.sum database tree", 30055305)
    assert SUMDB_NOTE.startswith(head.text())


@pytest.mark.parametrize("at", range(len(PUBLISHED_KEY)))
def test_a_verifier_key_with_any_character_changed_or_cut_off_is_refused(at: int) -> None:
    for text in (
        PUBLISHED_KEY[:at] + chr(ord(PUBLISHED_KEY[at]) ^ 1) + PUBLISHED_KEY[at + 1 :],
        PUBLISHED_KEY[:at],
    ):
        with pytest.raises(notes.MalformedNoteError):
            VerifierKey.parse(text)


def test_a_checkpoint_opens_under_its_key() -> None:
    assert notes.open_checkpoint(NOTE, [KEY]) == (HEAD, KEY)


@pytest.mark.parametrize("at", range(len(NOTE.encode())))
def test_a_checkpoint_with_any_byte_changed_is_refused(at: int) -> None:
    raw = bytearray(NOTE.encode())
    raw[at] ^= 1
    with pytest.raises((notes.NoteError, UnicodeDecodeError)):
        notes.open_checkpoint(raw.decode(), [KEY])


@pytest.mark.parametrize("length", range(len(NOTE)))
def test_a_checkpoint_cut_short_is_refused(length: int) -> None:
    with pytest.raises(notes.NoteError):
        notes.open_checkpoint(NOTE[:length], [KEY])


def test_a_note_by_another_key_of_the_same_name_is_by_an_unknown_key() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(notes.UnknownKeyError, match=LOG):
        notes.open_checkpoint(notes.sign_note(HEAD.text(), LOG, other), [KEY])


def test_a_signature_over_another_text_is_named_as_such() -> None:
    with pytest.raises(notes.BadSignatureError):
        notes.open_checkpoint(NOTE.replace("\n42\n", "\n43\n"), [KEY])


def test_one_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    wrong = notes.sign_note("other\n", LOG, SECRET).rpartition("\n\n")[2]
    with pytest.raises(notes.BadSignatureError):
        notes.open_checkpoint(NOTE + wrong, [KEY])


def test_signatures_by_unknown_witnesses_are_ignored() -> None:
    witness = notes.sign_note(HEAD.text(), "witness.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert notes.open_checkpoint(NOTE + witness.rpartition("\n\n")[2], [KEY]) == (HEAD, KEY)


def test_a_checkpoint_of_another_log_is_refused_though_the_signature_is_good() -> None:
    note = notes.sign_note(Checkpoint("other.example/log", 42, HEAD.root).text(), LOG, SECRET)
    with pytest.raises(notes.OtherLogError, match=r"other\.example/log"):
        notes.open_checkpoint(note, [KEY])


ROOT = notes.encode(HEAD.root)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{LOG}\n42\n",
        f"\n42\n{ROOT}\n",
        f"{LOG}\n042\n{ROOT}\n",
        f"{LOG}\n+42\n{ROOT}\n",
        f"{LOG}\n4\u0662\n{ROOT}\n",
        f"{LOG}\n-1\n{ROOT}\n",
        f"{LOG}\n\n{ROOT}\n",
        f"{LOG}\n{1 << 70}\n{ROOT}\n",
        f"{LOG}\n42\n{ROOT[:-1]}\n",
        f"{LOG}\n42\n{notes.encode(bytes(31))}\n",
        f"{LOG}\n42\n{ROOT}",
        f"{LOG}\n42\n{ROOT}\nextension\n",
    ],
)
def test_a_checkpoint_that_is_spelled_otherwise_is_refused(text: str) -> None:
    with pytest.raises(notes.MalformedNoteError):
        Checkpoint.parse(text)


@pytest.mark.parametrize("name", ["", "with space", "with+plus", "with\u00a0space", "with\nline"])
def test_a_key_cannot_have_a_name_that_a_note_cannot_carry(name: str) -> None:
    with pytest.raises(notes.MalformedNoteError):
        VerifierKey(name, bytes(32))
