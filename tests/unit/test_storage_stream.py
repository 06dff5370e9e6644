"""The body format opens what Tink seals and the other way round, and refuses anything that was touched."""

from __future__ import annotations

import io
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tink import KeysetHandle, cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from services.storage import stream
from services.storage.stream import BodyRefusedError, Decryptor, Encryptor, seal, unseal

KEY = bytes(range(32))
FIRST = stream.SEGMENT_SIZE - stream.HEADER_SIZE - stream.TAG_SIZE
NEXT = stream.SEGMENT_SIZE - stream.TAG_SIZE
BORDERS = sorted({0, 1, 17, *(n * NEXT + FIRST + d for n in range(3) for d in (-1, 0, 1))})


def tink_primitive(key: bytes) -> streaming_aead.StreamingAead:
    """Tink's own implementation with our parameters."""
    streaming_aead.register()
    parameters = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=stream.SEGMENT_SIZE, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    body = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=parameters, key_value=key)
    data = tink_pb2.KeyData(
        type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
        value=body.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    entry = tink_pb2.Keyset.Key(
        key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW
    )
    keyset = tink_pb2.Keyset(primary_key_id=1, key=[entry])
    handle: KeysetHandle = cleartext_keyset_handle.from_keyset(keyset)
    return handle.primitive(streaming_aead.StreamingAead)


class _Kept(io.BytesIO):
    """Tink closes its destination; the bytes are wanted afterwards."""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


@pytest.mark.parametrize("size", BORDERS)
def test_tink_opens_what_we_seal(size: int) -> None:
    body = os.urandom(size)
    sealed = seal(KEY, body, b"bound")
    with tink_primitive(KEY).new_decrypting_stream(io.BytesIO(sealed), b"bound") as opened:
        assert opened.read() == body


@pytest.mark.parametrize("size", BORDERS)
def test_we_open_what_tink_seals(size: int) -> None:
    body, target = os.urandom(size), _Kept()
    with tink_primitive(KEY).new_encrypting_stream(target, b"bound") as writer:
        writer.write(body)
    assert unseal(KEY, target.kept, b"bound") == body


@pytest.mark.parametrize("size", BORDERS)
def test_the_sealed_size_is_known_beforehand(size: int) -> None:
    assert len(seal(KEY, bytes(size), b"")) == stream.ciphertext_size(size)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 90_000), max_size=6), st.integers(1, 70_000))
def test_pieces_of_any_size_give_the_same_body(pieces: list[int], step: int) -> None:
    body = [os.urandom(size) for size in pieces]
    encryptor, decryptor = Encryptor(KEY, b"a"), Decryptor(KEY, b"a")
    sealed = b"".join([encryptor.update(piece) for piece in body]) + encryptor.finalize()
    opened = b"".join([decryptor.update(sealed[at : at + step]) for at in range(0, len(sealed), step)])
    assert opened + decryptor.finalize() == b"".join(body)


def test_every_flipped_byte_of_a_small_body_is_refused() -> None:
    sealed = seal(KEY, b"face", b"a")
    for at in range(len(sealed)):
        touched = bytearray(sealed)
        touched[at] ^= 1
        with pytest.raises(BodyRefusedError):
            unseal(KEY, bytes(touched), b"a")


@pytest.mark.parametrize("at", [0, 1, 33, 40, stream.SEGMENT_SIZE - 1, stream.SEGMENT_SIZE, -1])
def test_a_flipped_byte_of_a_long_body_is_refused(at: int) -> None:
    touched = bytearray(seal(KEY, os.urandom(3 * NEXT), b"a"))
    touched[at] ^= 128
    with pytest.raises(BodyRefusedError):
        unseal(KEY, bytes(touched), b"a")


def test_every_truncation_is_refused() -> None:
    sealed = seal(KEY, os.urandom(2 * NEXT), b"a")
    cuts = {
        *range(60),
        stream.SEGMENT_SIZE - 1,
        stream.SEGMENT_SIZE,
        stream.SEGMENT_SIZE + 20,
        len(sealed) - 1,
    }
    for cut in cuts:
        with pytest.raises(BodyRefusedError):
            unseal(KEY, sealed[:cut], b"a")


def test_extended_reordered_and_repeated_segments_are_refused() -> None:
    sealed, size = seal(KEY, os.urandom(4 * NEXT), b"a"), stream.SEGMENT_SIZE
    first, second, third = sealed[:size], sealed[size : 2 * size], sealed[2 * size : 3 * size]
    rest = sealed[3 * size :]
    for forged in (
        sealed + b"\0",
        sealed + second,
        first + third + second + rest,
        first + second + second + third + rest,
    ):
        with pytest.raises(BodyRefusedError):
            unseal(KEY, forged, b"a")


def test_another_key_or_other_associated_data_does_not_open() -> None:
    sealed = seal(KEY, b"face", b"a")
    for key, associated in ((bytes(32), b"a"), (KEY, b"b")):
        with pytest.raises(BodyRefusedError):
            unseal(key, sealed, associated)


def test_two_seals_of_one_body_share_nothing() -> None:
    one, two = seal(KEY, b"face", b"a"), seal(KEY, b"face", b"a")
    assert one[1:40] != two[1:40]
    assert one[40:] != two[40:]


def test_sealing_is_no_slower_than_the_oracle() -> None:
    body, tink = os.urandom(300_000), tink_primitive(KEY)

    def ours() -> None:
        seal(KEY, body, b"a")

    def theirs() -> None:
        with tink.new_encrypting_stream(_Kept(), b"a") as writer:
            writer.write(body)

    assert _fastest(ours) < _fastest(theirs)


def _fastest(run: object) -> float:
    assert callable(run)
    spans = []
    for _ in range(20):
        start = time.perf_counter()
        run()
        spans.append(time.perf_counter() - start)
    return min(spans)
