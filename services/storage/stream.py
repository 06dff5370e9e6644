"""The body format: Tink's AES256-GCM-HKDF streaming wire format with 64 KiB ciphertext segments.

Layout, after https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming:

    header   one byte with its length (40), a 32-byte salt, a 7-byte nonce prefix
    segment  AES-256-GCM of a slice of the plaintext under HKDF-SHA256(key, salt, info=associated data);
             nonce = prefix, segment number (4 bytes, big endian), 1 for the last segment and 0 for every
             other

The header counts into the first segment. Reordering, truncating or extending breaks a nonce, so it is
refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_SIZE = 32
SEGMENT_SIZE = 64 * 1024
TAG_SIZE = 16
_SALT_SIZE = 32
_PREFIX_SIZE = 7
HEADER_SIZE = 1 + _SALT_SIZE + _PREFIX_SIZE
_LAST_SEGMENT_NUMBER = 2**32 - 1


class BodyRefusedError(Exception):
    """The bytes are not what was sealed under this key and associated data; nothing more can be said."""


def ciphertext_size(plaintext_size: int) -> int:
    """Bytes that a plaintext of so many bytes takes once sealed."""
    segment = SEGMENT_SIZE - TAG_SIZE
    segments = max(1, -(-(plaintext_size + HEADER_SIZE) // segment))
    return HEADER_SIZE + plaintext_size + segments * TAG_SIZE


def seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Seals a whole body held in memory."""
    encryptor = Encryptor(key, associated)
    return encryptor.update(plaintext) + encryptor.finalize()


def unseal(key: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """Opens a whole body held in memory; raises BodyRefusedError."""
    decryptor = Decryptor(key, associated)
    return decryptor.update(ciphertext) + decryptor.finalize()


class _Segments:
    """Numbers the segments of one body and makes their nonces."""

    def __init__(self, key: bytes, associated: bytes, salt: bytes, prefix: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=salt, info=associated).derive(key)
        self._cipher = AESGCM(derived)
        self._prefix = prefix
        self._number = 0

    def encrypt(self, plaintext: memoryview, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last=last), plaintext, None)

    def decrypt(self, ciphertext: memoryview, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(last=last), ciphertext, None)
        except InvalidTag:
            raise BodyRefusedError("a segment does not authenticate") from None

    def _nonce(self, *, last: bool) -> bytes:
        number = self._number
        if number > _LAST_SEGMENT_NUMBER:
            raise BodyRefusedError("the body has more segments than the format can number")
        self._number += 1
        return self._prefix + number.to_bytes(4, "big") + (b"\x01" if last else b"\x00")


class _Slicer:
    """Cuts what arrives into full segments, always keeping back what may turn out to be the last one."""

    def __init__(self, first: int, size: int) -> None:
        self._held = bytearray()
        self._want = first
        self._size = size

    def cut(self, data: bytes) -> Iterator[memoryview]:
        """Full segments that something follows; copies no more than what is left over."""
        view = memoryview(data)
        missing = self._want - len(self._held)
        if self._held and len(view) > missing:
            self._held += view[:missing]
            yield memoryview(self._held)
            view, self._held, self._want = view[missing:], bytearray(), self._size
        while not self._held and len(view) > self._want:
            yield view[: self._want]
            view, self._want = view[self._want :], self._size
        self._held += view

    def rest(self) -> memoryview:
        return memoryview(self._held)


class Encryptor:
    """Seals a body that arrives in pieces; one body per object.

    `update` returns the ciphertext that is ready, beginning with the header; `finalize` returns the last
    segment.
    """

    def __init__(self, key: bytes, associated: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a body key has {KEY_SIZE} bytes, not {len(key)}")
        salt, prefix = os.urandom(_SALT_SIZE), os.urandom(_PREFIX_SIZE)
        self._segments = _Segments(key, associated, salt, prefix)
        self._slicer = _Slicer(SEGMENT_SIZE - TAG_SIZE - HEADER_SIZE, SEGMENT_SIZE - TAG_SIZE)
        self._header = bytes([HEADER_SIZE]) + salt + prefix

    def update(self, plaintext: bytes) -> bytes:
        """Takes the next piece of plaintext."""
        return b"".join(self.segments(plaintext))

    def segments(self, plaintext: bytes) -> list[bytes]:
        """As `update`, for who joins the whole in the end: large pieces are dear to copy."""
        sealed = [self._segments.encrypt(segment, last=False) for segment in self._slicer.cut(plaintext)]
        return [self._take_header(), *sealed]

    def finalize(self) -> bytes:
        """Ends the body."""
        return self._take_header() + self._segments.encrypt(self._slicer.rest(), last=True)

    def _take_header(self) -> bytes:
        header, self._header = self._header, b""
        return header


class Decryptor:
    """Opens a body that arrives in pieces; one body per object.

    Plaintext returned by `update` is authentic; the body is complete only once `finalize` has returned. Both
    raise BodyRefusedError.
    """

    def __init__(self, key: bytes, associated: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a body key has {KEY_SIZE} bytes, not {len(key)}")
        self._key, self._associated = key, associated
        self._header = b""
        self._segments: _Segments | None = None
        self._slicer = _Slicer(SEGMENT_SIZE - HEADER_SIZE, SEGMENT_SIZE)

    def update(self, ciphertext: bytes) -> bytes:
        """Takes the next piece of ciphertext."""
        if self._segments is None:
            ciphertext = self._begin(ciphertext)
        segments = self._segments
        if segments is None:
            return b""
        return b"".join([segments.decrypt(segment, last=False) for segment in self._slicer.cut(ciphertext)])

    def finalize(self) -> bytes:
        """Ends the body: the bytes held back must be its last segment."""
        if self._segments is None:
            raise BodyRefusedError("the body ends within its header")
        rest = self._slicer.rest()
        if len(rest) < TAG_SIZE:
            raise BodyRefusedError("the body ends within a segment")
        return self._segments.decrypt(rest, last=True)

    def _begin(self, ciphertext: bytes) -> bytes:
        """Reads the header once it is whole; returns what follows it."""
        self._header += ciphertext
        if len(self._header) < HEADER_SIZE:
            return b""
        header, rest = self._header[:HEADER_SIZE], self._header[HEADER_SIZE:]
        if header[0] != HEADER_SIZE:
            raise BodyRefusedError("the header has another length")
        salt, prefix = header[1 : 1 + _SALT_SIZE], header[1 + _SALT_SIZE :]
        self._segments = _Segments(self._key, self._associated, salt, prefix)
        return rest
