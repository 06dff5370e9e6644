"""Pictures lose everything planted in them and keep every pixel; broken ones give typed faults."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from idv.types.v1 import errors_pb2 as errors
from PIL import Image

from services.ingest.media import check
from services.ingest.media.fault import MediaError
from services.local import specimens
from services.local.specimens import Specimen

LIMITS = check.MediaLimits(pixels=200_000)
MARK = specimens.MARK.encode()
FACE = specimens.face("Ada Example", 160)
MAKERS: dict[str, Callable[..., Specimen]] = {
    "jpeg": specimens.jpeg,
    "png": specimens.png,
    "webp": specimens.webp,
}
SPECIMENS = {kind: make(FACE) for kind, make in MAKERS.items()}


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def refused(body: bytes, declared: str, limits: check.MediaLimits = LIMITS) -> MediaError:
    with pytest.raises(MediaError) as caught:
        check.clean(body, declared, limits)
    assert caught.value.message
    assert caught.value.remedy
    return caught.value


pictures = st.builds(
    lambda size, seed, mode: Image.effect_mandelbrot(size, (-2, -1, 1, 1), 20 + seed).convert(mode),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(0, 20),
    st.sampled_from(["RGB", "L"]),
)


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=30, deadline=None)
@given(image=pictures, orientation=st.integers(1, 8))
def test_what_was_planted_is_gone_and_every_pixel_is_kept(
    kind: str, image: Image.Image, orientation: int
) -> None:
    sent = MAKERS[kind](image, orientation=orientation)
    kept = check.clean(sent.body, sent.media_type, LIMITS)
    before, after = opened(sent.body), opened(kept.body)
    assert MARK in sent.body
    assert MARK not in kept.body
    assert after.tobytes() == before.tobytes()
    assert (after.size, after.mode) == (before.size, before.mode)
    assert after.info["icc_profile"] == specimens.colour_profile()
    assert dict(after.getexif()) == ({specimens._ORIENTATION: orientation} if orientation > 1 else {})
    assert {"exif", "xmp", "trailing_data"} <= set(kept.removed)


@pytest.mark.parametrize("kind", MAKERS)
def test_stripping_twice_changes_nothing_and_reports_nothing(kind: str) -> None:
    sent = MAKERS[kind](FACE, orientation=6)
    once = check.clean(sent.body, sent.media_type, LIMITS)
    twice = check.clean(once.body, sent.media_type, LIMITS)
    assert twice.body == once.body
    assert twice.removed == frozenset()


def test_the_entropy_coded_data_of_a_jpeg_stays_byte_for_byte() -> None:
    out = io.BytesIO()
    FACE.save(out, "JPEG", progressive=True, restart_marker_rows=1)
    plain = out.getvalue()
    kept = check.clean(plain, check.JPEG, LIMITS).body
    assert kept[kept.index(b"\xff\xdb") :] == plain[plain.index(b"\xff\xdb") :]


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_truncated_picture_is_a_typed_fault(kind: str, data: st.DataObject) -> None:
    sent = SPECIMENS[kind]
    whole = check.clean(sent.body, sent.media_type, LIMITS).body
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    fault = refused(cut, sent.media_type)
    assert fault.reason in {
        errors.ERROR_REASON_MEDIA_TRUNCATED,
        errors.ERROR_REASON_MEDIA_UNDECODABLE,
        errors.ERROR_REASON_MEDIA_TYPE_MISMATCH,
        errors.ERROR_REASON_EMPTY_BODY,
    }


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_never_crash_and_never_pass_with_the_mark(
    kind: str, changes: list[tuple[int, int]]
) -> None:
    sent = SPECIMENS[kind]
    body = bytearray(sent.body)
    for at, value in changes:
        body[at % len(body)] = value
    try:
        kept = check.clean(bytes(body), sent.media_type, LIMITS)
    except MediaError:
        return
    assert MARK not in kept.body


@pytest.mark.parametrize("kind", MAKERS)
def test_a_mislabelled_picture_is_refused(kind: str) -> None:
    sent = SPECIMENS[kind]
    for declared in {check.JPEG, check.PNG, check.WEBP, check.PDF} - {sent.media_type}:
        assert refused(sent.body, declared).reason == errors.ERROR_REASON_MEDIA_TYPE_MISMATCH


def test_an_empty_or_oversize_body_is_refused() -> None:
    assert refused(b"", check.JPEG).reason == errors.ERROR_REASON_EMPTY_BODY
    sent = SPECIMENS["jpeg"]
    small = check.MediaLimits(body_bytes=len(sent.body) - 1)
    assert refused(sent.body, check.JPEG, small).reason == errors.ERROR_REASON_TOO_LARGE


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_decompression_bomb_is_refused_before_it_expands() -> None:
    assert (
        refused(specimens.png_bomb(30_000, 30_000), check.PNG).reason == errors.ERROR_REASON_MEDIA_TOO_COMPLEX
    )
    more_than_declared = refused(specimens.png_bomb(10, 10), check.PNG)
    assert more_than_declared.reason == errors.ERROR_REASON_MEDIA_UNDECODABLE


@pytest.mark.parametrize("kind", MAKERS)
def test_a_picture_over_the_pixel_limit_is_refused(kind: str) -> None:
    sent = SPECIMENS[kind]
    limits = check.MediaLimits(pixels=FACE.width * FACE.height - 1)
    assert refused(sent.body, sent.media_type, limits).reason == errors.ERROR_REASON_MEDIA_TOO_COMPLEX


def test_an_animation_is_refused_or_reduced_to_its_still_picture() -> None:
    frames = [FACE, FACE.rotate(90)]
    webp, png = io.BytesIO(), io.BytesIO()
    frames[0].save(webp, "WEBP", save_all=True, append_images=frames[1:])
    frames[0].save(png, "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(MediaError):
        check.clean(webp.getvalue(), check.WEBP, LIMITS)
    kept = check.clean(png.getvalue(), check.PNG, LIMITS)
    assert "animation" in kept.removed
    assert opened(kept.body).tobytes() == FACE.tobytes()


def test_interlaced_and_palette_pngs_keep_their_pixels() -> None:
    for image in (FACE.quantize(16), FACE.convert("RGBA"), FACE.convert("1"), FACE.convert("LA")):
        out = io.BytesIO()
        image.save(out, "PNG")
        kept = check.clean(out.getvalue(), check.PNG, LIMITS)
        assert opened(kept.body).convert("RGBA").tobytes() == opened(out.getvalue()).convert("RGBA").tobytes()


def test_bytes_hidden_after_the_pixels_of_a_png_are_removed() -> None:
    raw = b"".join(b"\0" + bytes(30) for _ in range(10))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0))
    hidden = chunk(b"IDAT", zlib.compress(raw) + MARK)
    kept = check.clean(b"\x89PNG\r\n\x1a\n" + header + hidden + chunk(b"IEND", b""), check.PNG, LIMITS)
    assert MARK not in kept.body
    assert kept.removed == {"trailing_data"}


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def interlaced(image: Image.Image) -> bytes:
    """The picture as a PNG in seven passes, which Pillow reads but does not write."""
    rows = bytearray()
    for x, y, across, down in PASSES:
        for line in range(y, image.height, down):
            pixels = [image.getpixel((column, line)) for column in range(x, image.width, across)]
            if pixels:
                rows += b"\0" + bytes(value for pixel in pixels for value in pixel)  # type: ignore[union-attr]
    header = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    pixels_chunk = chunk(b"IDAT", zlib.compress(bytes(rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels_chunk + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (8, 8), (17, 9)])
def test_an_interlaced_png_keeps_its_pixels(size: tuple[int, int]) -> None:
    image = FACE.resize(size)
    kept = check.clean(interlaced(image), check.PNG, LIMITS)
    assert opened(kept.body).tobytes() == image.tobytes()


@pytest.mark.parametrize("segment", [b"\xff\xdd\0\4\0\0", b"\xff\xfe\0\2"])
def test_a_jpeg_of_many_segments_is_refused_before_each_takes_memory(segment: bytes) -> None:
    sent = SPECIMENS["jpeg"].body
    check.clean(sent[:2] + segment * 1000 + sent[2:], check.JPEG, LIMITS)
    fault = refused(sent[:2] + segment * 20_000 + sent[2:], check.JPEG)
    assert fault.reason == errors.ERROR_REASON_MEDIA_TOO_COMPLEX


def test_a_webp_of_many_chunks_is_refused_before_each_takes_memory() -> None:
    sent = SPECIMENS["webp"].body
    chunks = b"".join(b"%04x\0\0\0\0" % number for number in range(20_000))
    size = int.from_bytes(sent[4:8], "little") + len(chunks)
    fault = refused(sent[:4] + size.to_bytes(4, "little") + sent[8:12] + chunks + sent[12:], check.WEBP)
    assert fault.reason == errors.ERROR_REASON_MEDIA_TOO_COMPLEX


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded() -> None:
    """Each scan of a few bytes makes a decoder pass over every pixel once more."""
    out = io.BytesIO()
    FACE.save(out, "JPEG", progressive=True)
    sent = out.getvalue()
    last = sent[sent.rindex(b"\xff\xda") : -2]
    check.clean(sent[:-2] + last * 20 + sent[-2:], check.JPEG, LIMITS)
    fault = refused(sent[:-2] + last * 200 + sent[-2:], check.JPEG)
    assert fault.reason == errors.ERROR_REASON_MEDIA_TOO_COMPLEX


def test_fill_bytes_before_a_marker_take_nothing_from_the_picture() -> None:
    body = check.clean(SPECIMENS["jpeg"].body, check.JPEG, LIMITS).body
    filled = check.clean(body[:-2] + b"\xff" * 7 + b"\xd9", check.JPEG, LIMITS)
    assert opened(filled.body).tobytes() == opened(body).tobytes()


def test_a_scan_that_ends_in_nothing_but_fill_bytes_is_searched_once() -> None:
    body = check.clean(SPECIMENS["jpeg"].body, check.JPEG, LIMITS).body
    endless = body[:-2] + b"\xff" * (4 << 20)  # a search that goes back would take hours
    assert refused(endless, check.JPEG).reason == errors.ERROR_REASON_MEDIA_TRUNCATED


def test_a_specimen_is_the_same_whenever_it_is_made() -> None:
    assert specimens.colour_profile()[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
