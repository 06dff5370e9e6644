"""JPEG 2000 pictures, as PDFs embed them, lose their comments and boxes and keep their pixels."""

from __future__ import annotations

import io
import struct

import pikepdf
import pytest
from PIL import Image

from services.ingest.media import check, jp2
from services.ingest.media.fault import MediaError
from services.local import specimens

MARK = specimens.MARK.encode()
FACE = specimens.face("Ada Example", 96)


def encoded(*, boxes: bool) -> bytes:
    out = io.BytesIO()
    FACE.save(out, "JPEG2000", no_jp2=not boxes, comment=MARK)
    uuid_box = struct.pack(">I4s16s", 24 + len(MARK), b"uuid", bytes(16)) + MARK
    return out.getvalue() + (uuid_box if boxes else b"")


def pixels(body: bytes) -> bytes:
    with Image.open(io.BytesIO(body), formats=["JPEG2000"]) as image:
        return image.tobytes()


@pytest.mark.parametrize("boxes", [True, False])
def test_comments_and_private_boxes_are_gone_and_pixels_stay(*, boxes: bool) -> None:
    sent = encoded(boxes=boxes)
    kept = jp2.strip(sent)
    assert MARK in sent
    assert MARK not in kept.body
    assert (kept.width, kept.height) == FACE.size
    assert pixels(kept.body) == pixels(sent)
    assert "comment" in kept.removed


def test_what_follows_the_end_of_the_code_stream_is_gone() -> None:
    sent = encoded(boxes=False) + MARK
    kept = jp2.strip(sent)
    assert MARK not in kept.body
    assert pixels(kept.body) == pixels(sent)
    assert "trailing_data" in kept.removed


def test_a_comment_before_a_tiles_data_is_gone() -> None:
    plain = jp2.strip(encoded(boxes=False)).body
    at, start = plain.index(b"\xff\x90"), plain.index(b"\xff\x93")
    comment = struct.pack(">HHH", 0xFF64, 4 + len(MARK), 1) + MARK
    length = int.from_bytes(plain[at + 6 : at + 10], "big")
    longer = (length + len(comment)).to_bytes(4, "big")
    sent = plain[: at + 6] + longer + plain[at + 10 : start] + comment + plain[start:]
    assert pixels(sent) == pixels(plain)
    kept = jp2.strip(sent)
    assert kept.body == plain
    assert "comment" in kept.removed


def test_boxes_of_other_kinds_are_gone_from_the_header_box_too() -> None:
    sent = encoded(boxes=True)
    at = sent.index(b"jp2h") - 4
    length = int.from_bytes(sent[at : at + 4], "big")
    box = struct.pack(">I4s", 8 + len(MARK), b"xml ") + MARK
    header = struct.pack(">I", length + len(box)) + sent[at + 4 : at + length] + box
    kept = jp2.strip(sent[:at] + header + sent[at + length :])
    assert MARK not in kept.body
    assert pixels(kept.body) == pixels(sent)


@pytest.mark.parametrize("length", [0, 3, 10, 60, 100])
def test_a_truncated_picture_is_a_typed_fault(length: int) -> None:
    with pytest.raises(MediaError):
        jp2.strip(encoded(boxes=True)[:length])


def test_a_pdf_of_a_jpeg_2000_keeps_the_picture_alone() -> None:
    document = pikepdf.new()
    document.add_blank_page(page_size=(200, 200))
    picture = document.make_stream(
        encoded(boxes=True),
        Type=pikepdf.Name.XObject,
        Subtype=pikepdf.Name.Image,
        Width=FACE.width,
        Height=FACE.height,
        Filter=pikepdf.Name.JPXDecode,
    )
    document.pages[0].Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Face=picture))
    out = io.BytesIO()
    document.save(out)
    kept = check.clean(out.getvalue(), check.PDF, check.MediaLimits())
    assert MARK in out.getvalue()
    assert MARK not in kept.body
    with pikepdf.open(io.BytesIO(kept.body)) as rebuilt:
        found = rebuilt.pages[0].Resources.XObject.Face.read_raw_bytes()
    assert pixels(found) == pixels(encoded(boxes=True))
