"""PDFs are rebuilt: what was planted is gone, pages show the same, and another library opens them."""

from __future__ import annotations

import contextlib
import io
import zlib
from typing import Any

import pikepdf
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from idv.types.v1 import errors_pb2 as errors

from services.ingest.media import check
from services.ingest.media.fault import MediaError
from services.ingest.media.stripped import Stripped
from services.local import specimens

LIMITS = check.MediaLimits(expanded_bytes=8 * 1024 * 1024)
MARK = specimens.MARK.encode()
CARD = specimens.card("Ada Example", 320)
SENT = specimens.pdf(CARD, pages=2)


def cleaned(body: bytes, limits: check.MediaLimits = LIMITS) -> Stripped:
    return check.clean(body, check.PDF, limits)


def refused(body: bytes, limits: check.MediaLimits = LIMITS) -> MediaError:
    with pytest.raises(MediaError) as caught:
        cleaned(body, limits)
    return caught.value


def saved(document: pikepdf.Pdf) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def plain(body: bytes) -> bytes:
    """All objects and streams of a PDF without compression, as an independent library reads them."""
    document = pikepdf.open(io.BytesIO(body))
    streams = [item.read_raw_bytes() for item in document.objects if isinstance(item, pikepdf.Stream)]
    out = io.BytesIO()
    document.save(out, stream_decode_level=pikepdf.StreamDecodeLevel.generalized, compress_streams=False)
    return out.getvalue() + b"".join(streams)


def test_everything_planted_is_gone_and_the_pages_stay() -> None:
    kept = cleaned(SENT.body)
    assert MARK in plain(SENT.body)
    assert MARK not in plain(kept.body)
    document = pikepdf.open(io.BytesIO(kept.body))
    assert len(document.pages) == 2
    assert set(document.Root.keys()) == {"/Type", "/Pages"}
    assert "/Info" not in document.trailer
    told = {"action", "attachment", "exif", "information", "javascript", "xmp", "annotation"}
    assert told <= set(kept.removed)


def test_the_picture_on_the_page_keeps_its_pixels() -> None:
    pictures = []
    for body in (SENT.body, cleaned(SENT.body).body):
        with pikepdf.open(io.BytesIO(body)) as document:
            card: Any = document.pages[0].Resources.XObject.Card
            pictures.append(pikepdf.PdfImage(card).as_pil_image())
    before, after = pictures
    assert after.tobytes() == before.tobytes()
    assert "exif" not in after.info


def test_stripping_twice_changes_nothing() -> None:
    once = cleaned(SENT.body)
    assert cleaned(once.body) == Stripped(once.body, frozenset())


def test_files_of_other_writers_are_read_and_keep_their_pages() -> None:
    for options in (
        {"object_stream_mode": pikepdf.ObjectStreamMode.generate},
        {"linearize": True},
        {"qdf": True},
    ):
        out = io.BytesIO()
        pikepdf.open(io.BytesIO(SENT.body)).save(out, **options)
        kept = cleaned(out.getvalue())
        assert MARK not in plain(kept.body)
        assert len(pikepdf.open(io.BytesIO(kept.body)).pages) == 2
    for mode in ("1", "L", "P", "RGBA"):
        out = io.BytesIO()
        CARD.convert(mode).save(out, "PDF", title=specimens.MARK)
        kept = cleaned(out.getvalue())
        assert MARK not in plain(kept.body)


def test_an_earlier_revision_does_not_survive() -> None:
    writer = pypdf.PdfWriter(io.BytesIO(SENT.body), incremental=True)
    writer.add_metadata({"/Title": "later"})
    out = io.BytesIO()
    writer.write(out)
    assert out.getvalue().startswith(SENT.body)
    assert MARK not in plain(cleaned(out.getvalue()).body)


def test_an_encrypted_pdf_is_refused() -> None:
    writer = pypdf.PdfWriter(io.BytesIO(SENT.body))
    writer.encrypt("secret", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    fault = refused(out.getvalue())
    assert fault.reason == errors.ERROR_REASON_MEDIA_UNDECODABLE
    assert "encrypted" in fault.message


def test_a_pdf_that_is_none_is_refused() -> None:
    assert refused(b"<html>not a PDF</html>").reason == errors.ERROR_REASON_MEDIA_TYPE_MISMATCH
    assert refused(b"%PDF-1.7\nnothing in it\n%%EOF\n").reason == errors.ERROR_REASON_MEDIA_UNDECODABLE
    assert refused(SENT.body[:-2000]).reason == errors.ERROR_REASON_MEDIA_TRUNCATED


def test_a_stream_that_expands_beyond_the_limit_is_refused() -> None:
    document = pikepdf.open(io.BytesIO(SENT.body))
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    document.pages[0].Contents = pikepdf.Stream(document, b"")
    document.pages[0].Contents.write(bomb, filter=pikepdf.Name.FlateDecode)
    assert refused(saved(document)).reason == errors.ERROR_REASON_MEDIA_TOO_COMPLEX


@pytest.mark.parametrize("filters", [b"/DCT", b"[/DCT]", b"[/AHx /DCTDecode]", b"/D#43T"])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_jpeg_inside_a_pages_content_is_refused(filters: bytes, *, compressed: bool) -> None:
    """It would keep metadata of its own, and no writer of documents needs one."""
    picture = specimens.jpeg(CARD).body
    picture = picture.hex().encode() + b">" if b"AHx" in filters else picture
    begin = b"q BI /W %d /H %d /CS /RGB /BPC 8 /F %s ID " % (*CARD.size, filters)
    content = b"0 g " * 70_000 + begin + picture + b" EI Q"
    document = pikepdf.new()
    document.add_blank_page(page_size=(200, 200))
    document.pages[0].Contents = document.make_stream(content)
    out = io.BytesIO()
    document.save(out, compress_streams=compressed)
    fault = refused(out.getvalue())
    assert fault.reason == errors.ERROR_REASON_MEDIA_UNDECODABLE


def test_too_many_pages_or_pixels_are_refused() -> None:
    fault = refused(SENT.body, check.MediaLimits(pages=1))
    assert fault.reason == errors.ERROR_REASON_MEDIA_TOO_COMPLEX
    fault = refused(SENT.body, check.MediaLimits(pixels=100))
    assert fault.reason == errors.ERROR_REASON_MEDIA_TOO_COMPLEX


def test_fonts_and_glyphs_whose_names_look_like_actions_survive() -> None:
    document = pikepdf.open(io.BytesIO(SENT.body))
    font = pikepdf.Dictionary(
        Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
    )
    document.pages[0].Resources["/Font"] = pikepdf.Dictionary(A=font, JS=document.make_indirect(font))
    kept = pikepdf.open(io.BytesIO(cleaned(saved(document)).body))
    assert set(kept.pages[0].Resources.Font.keys()) == {"/A", "/JS"}
    assert kept.pages[0].Resources.Font.JS.BaseFont == "/Helvetica"


def test_a_filled_form_keeps_its_look_and_loses_its_script() -> None:
    document = pikepdf.open(io.BytesIO(SENT.body))
    look = document.make_stream(b"0 0 10 10 re f", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form)
    look.BBox = pikepdf.Array([0, 0, 10, 10])
    widget = pikepdf.Dictionary(
        Type=pikepdf.Name.Annot,
        Subtype=pikepdf.Name.Widget,
        Rect=pikepdf.Array([0, 0, 10, 10]),
        V=pikepdf.String(specimens.MARK),
        AP=pikepdf.Dictionary(N=look),
        A=pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String(specimens.MARK)),
    )
    document.pages[0].Annots = pikepdf.Array([document.make_indirect(widget)])
    kept = cleaned(saved(document))
    rebuilt = pikepdf.open(io.BytesIO(kept.body))
    annotation = rebuilt.pages[0].Annots[0]
    assert annotation.AP.N.read_bytes() == b"0 0 10 10 re f"
    assert set(annotation.keys()) == {"/AP", "/Rect", "/Subtype", "/Type"}
    assert MARK not in plain(kept.body)


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_never_crash(changes: list[tuple[int, int]]) -> None:
    body = bytearray(SENT.body)
    for at, value in changes:
        body[at % len(body)] = value
    try:
        kept = cleaned(bytes(body))
    except MediaError:
        return
    assert MARK not in kept.body


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, len(SENT.body) - 1))
def test_a_truncated_pdf_never_crashes(length: int) -> None:
    with contextlib.suppress(MediaError):
        cleaned(SENT.body[:length])
