"""Checks and cleans the body of one PDF stream: how far it expands, and pictures with their own metadata.

Source: ISO 32000-2, 7.4 (filters).
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from typing import Any

import pypdf.errors
from PIL import Image
from pypdf.generic import ArrayObject, EncodedStreamObject, NameObject

from services.ingest.media import inflate, jp2, jpeg, pdf_images
from services.ingest.media.fault import too_complex, undecodable
from services.ingest.media.stripped import Removed, Still

_NAME = "PDF"
_FLATE = frozenset({"/FlateDecode", "/Fl"})
_TEXTUAL = frozenset(
    {"/ASCIIHexDecode", "/AHx", "/ASCII85Decode", "/A85", "/LZWDecode", "/LZW", "/RunLengthDecode", "/RL"}
)
_JPEG = frozenset({"/DCTDecode", "/DCT"})
_JPEG_2000 = "/JPXDecode"
# In a page's content: the name of the coding, or the begin of such data after whatever spells the name.
_INLINE_JPEG = re.compile(rb"/DCT(?:Decode)?\b|\bID[\0\t\n\f\r ]\xff\xd8\xff")
_LONGEST = 16
"""Bytes that a match can have."""
_BILEVEL = frozenset({"/CCITTFaxDecode", "/CCF", "/JBIG2Decode"})


class StreamBudget:
    """How many bytes the streams of one file may still expand to, and how many pixels a picture may have."""

    def __init__(self, expanded_bytes: int, most_pixels: int) -> None:
        self.left = expanded_bytes
        self.most_pixels = most_pixels

    def spend(self, size: int) -> None:
        """Counts what one stream expands to; raises MediaError when the file's allowance is used up."""
        self.left -= size
        if self.left < 0:
            raise too_complex("the PDF expands to more than allowed", "send it at a lower resolution")

    def picture(self, width: int, height: int) -> None:
        """Counts a picture that is about to be decoded, at four bytes a pixel."""
        if width * height > self.most_pixels:
            raise too_complex(
                f"a picture in the PDF has more than {self.most_pixels} pixels",
                "send it at a lower resolution",
            )
        self.spend(width * height * 4)


def _as_list(value: Any) -> list[Any]:
    found = value.get_object() if value is not None else None
    if found is None or found == "null":
        return []
    return [part.get_object() for part in found] if isinstance(found, ArrayObject) else [found]


def _expanded(data: bytes, filters: list[Any], parameters: list[Any], budget: StreamBudget) -> bytes:
    """The data after the given filters; pypdf's own limits hold, which the caller sets."""
    if not filters:
        return data
    stream = EncodedStreamObject()
    stream._data = data  # pypdf has no public way to make an encoded stream from raw bytes
    stream[NameObject("/Filter")] = ArrayObject(filters)
    stream[NameObject("/DecodeParms")] = ArrayObject(parameters)
    try:
        plain = stream.get_data()
    except pypdf.errors.LimitReachedError:
        raise too_complex("a stream of the PDF expands to more than allowed", "send a simpler file") from None
    budget.spend(len(plain))
    return plain


def _refuse_inline_jpeg() -> Callable[[bytes], None]:
    """Looks through content that comes in pieces: a JPEG in it would keep metadata of its own."""
    before = b""

    def look(piece: bytes) -> None:
        nonlocal before
        seen = before + piece
        # The expression is slow; what it cannot do without is found fast.
        if (b"/DCT" in seen or jpeg.MAGIC in seen) and _INLINE_JPEG.search(seen):
            raise undecodable(_NAME, "has a JPEG inside the content of a page")
        before = seen[-_LONGEST:]

    return look


def _flate(data: bytes, budget: StreamBudget, look: Callable[[bytes], None] | None) -> tuple[bytes, int]:
    """The compressed data without anything hidden after it, and what it expands to, in little memory."""
    try:
        consumed, size, complete = inflate.measure(data, budget.left, look)
    except zlib.error:
        raise undecodable(_NAME, "has a stream that does not decompress") from None
    budget.spend(size)
    if not complete:
        raise undecodable(_NAME, "has a stream that ends before its format says it should")
    return data[:consumed], size


def _picture(data: bytes, kind: str, budget: StreamBudget) -> Still:
    still = jp2.strip(data) if kind == _JPEG_2000 else jpeg.strip(data)
    budget.picture(still.width, still.height)
    formats = ["JPEG2000"] if kind == _JPEG_2000 else ["JPEG"]
    try:
        with Image.open(io.BytesIO(still.body), formats=formats) as image:
            image.load()
    except (OSError, ValueError, SyntaxError):
        raise undecodable(_NAME, "has a picture that cannot be decoded") from None
    return still


def clean(
    stream: Any, budget: StreamBudget, removed: set[Removed], *, picture: bool
) -> tuple[bytes, list[Any], list[Any]]:
    """The raw body to keep, with its filters and their parameters.

    The body is expanded within the budget to prove that it can be. A `picture` must have as many bytes as it
    has pixels; a JPEG or JPEG 2000 is decoded in full and loses its own metadata. Raises MediaError.
    """
    data: bytes = stream._data
    filters = _as_list(stream.get("/Filter"))
    parameters = _as_list(stream.get("/DecodeParms"))
    parameters += [pypdf.generic.NullObject()] * (len(filters) - len(parameters))
    last = str(filters[-1]) if filters else ""
    if last in _JPEG or last == _JPEG_2000:
        still = _picture(_expanded(data, filters[:-1], parameters[:-1], budget), last, budget)
        removed |= still.removed
        return still.body, filters[-1:], parameters[-1:]
    if last in _BILEVEL:
        _expanded(data, filters[:-1], parameters[:-1], budget)
        budget.picture(pdf_images.number(stream, "/Width"), pdf_images.number(stream, "/Height"))
        return data, filters, parameters
    if not {str(name) for name in filters} <= _FLATE | _TEXTUAL:
        raise undecodable(_NAME, "has a stream in a coding that the format does not know")
    data, size, undone = _plain(data, filters, parameters, budget, None if picture else _refuse_inline_jpeg())
    if picture:
        pdf_images.check_size(stream, size, None if undone else parameters[0])
    return data, filters, parameters


def _plain(
    data: bytes,
    filters: list[Any],
    parameters: list[Any],
    budget: StreamBudget,
    look: Callable[[bytes], None] | None,
) -> tuple[bytes, int, bool]:
    """The raw body, what it expands to, and whether a predictor is undone in that size.

    `look` is shown what it expands to.
    """
    if data and len(filters) == 1 and str(filters[0]) in _FLATE:
        kept, size = _flate(data, budget, look)
        return kept, size, False
    if not filters or not data:
        budget.spend(len(data))
        plain = data
    else:
        plain = _expanded(data, filters, parameters, budget)
    if look is not None:
        look(plain)
    return data, len(plain), True
