"""The key that signs the log's checkpoints, and the keys it signed with before."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv.checkpoint import Checkpoint, VerifierKey, sign_note


class SigningKeyError(Exception):
    """The file holds no key that the log can be signed with; the message says why."""


class LogSigner:
    """Signs checkpoints of one log, with several keys while the key is being changed.

    `signing` are the verifier keys of those it signs with, the present one first; `former` those that signed
    earlier checkpoints; `keys` all of them.
    """

    def __init__(
        self,
        origin: str,
        key: Ed25519PrivateKey,
        former: Iterable[VerifierKey] = (),
        also: Iterable[Ed25519PrivateKey] = (),
    ) -> None:
        self.origin = origin
        self._private = (key, *also)
        self.signing = tuple(
            VerifierKey(origin, one.public_key().public_bytes_raw()) for one in self._private
        )
        self.former = tuple(key for key in former if key not in self.signing)
        self.keys = (*self.signing, *self.former)

    @classmethod
    def load(
        cls, origin: str, file: Path, former: Iterable[str] = (), also: Iterable[Path] = ()
    ) -> LogSigner:
        """Reads the private keys (Ed25519, PKCS #8 in PEM). Raises SigningKeyError if one is another."""
        return cls(origin, read_key(file), map(VerifierKey.parse, former), map(read_key, also))

    def sign(self, size: int, root: bytes) -> str:
        """The signed note for the head of `size` leaves under `root`."""
        return sign_note(Checkpoint(self.origin, size, root).text(), self.origin, *self._private)

    def published(self) -> str:
        """The verifier keys, one a line: what a Customer verifies receipts with."""
        return "\n".join(map(str, self.keys))


def read_key(file: Path) -> Ed25519PrivateKey:
    """The private key in `file`. Raises SigningKeyError."""
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"{file} holds no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"{file} holds a key of another kind than Ed25519")
    return key


def generate(file: Path) -> None:
    """Writes a new signing key, readable by this user only; raises FileExistsError if the file is there."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(pem)
