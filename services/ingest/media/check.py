"""The whole check of one body: declared type, size, structure, limits, and a full decode of what rests."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

from idv.types.v1 import errors_pb2 as errors
from PIL import Image

from services.ingest.media import jpeg, pdf, png, webp
from services.ingest.media.fault import MediaError, too_complex, undecodable
from services.ingest.media.stripped import Still, Stripped

JPEG, PNG, WEBP, PDF = "image/jpeg", "image/png", "image/webp", "application/pdf"
STILLS = {JPEG: "JPEG", PNG: "PNG", WEBP: "WebP"}
"""Media types of still pictures, and what people call them."""

# What Pillow's parsers are known to raise for broken files.
_UNFORESEEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """How much one body may hold."""

    body_bytes: int = 16 * 1024 * 1024
    """Of the body as sent."""
    pixels: int = 40_000_000
    """Of a picture, also of each inside a PDF."""
    pages: int = 20
    """Of a PDF."""
    expanded_bytes: int = 256 * 1024 * 1024
    """That all streams of a PDF together expand to."""


def detect(body: bytes) -> str | None:
    """The media type that the first bytes show, or None when they show none that is accepted."""
    if webp.is_webp(body[:12]):
        return WEBP
    starts = {JPEG: jpeg.MAGIC, PNG: png.MAGIC, PDF: pdf.MAGIC}
    return next((kind for kind, magic in starts.items() if body.startswith(magic)), None)


def strip(body: bytes, declared: str, limits: MediaLimits) -> Stripped:
    """The body as it will be stored, its type, size and structure checked; raises MediaError.

    The pictures in a PDF are decoded here, one at a time; a still picture is decoded by `decode`, once the
    memory for its pixels is known to be free.
    """
    if not body:
        raise MediaError(errors.ERROR_REASON_EMPTY_BODY, "the body is empty", "send the file's bytes")
    if len(body) > limits.body_bytes:
        raise too_large(limits.body_bytes)
    if detect(body) != declared:
        raise MediaError(
            errors.ERROR_REASON_MEDIA_TYPE_MISMATCH,
            f"the body is not of the declared type {declared}",
            "declare the type that the bytes have: JPEG, PNG, WebP or, for documents, PDF",
        )
    if declared == PDF:
        return pdf.strip(
            body, most_pages=limits.pages, most_pixels=limits.pixels, expanded_bytes=limits.expanded_bytes
        )
    return _strip_still(body, declared, limits.pixels)


def decode(stripped: Stripped, declared: str) -> None:
    """Decodes what `strip` made of a still picture in full; raises MediaError.

    What rests is so known to open. The decoders release the interpreter's lock.
    """
    if isinstance(stripped, Still):
        _decode(stripped, declared)


def clean(body: bytes, declared: str, limits: MediaLimits) -> Stripped:
    """Strips and decodes a body in one step, as where memory is no concern; raises MediaError."""
    stripped = strip(body, declared, limits)
    decode(stripped, declared)
    return stripped


def decoding_bytes(stripped: Stripped) -> int:
    """Memory that `decode` takes: Pillow keeps up to four bytes a pixel."""
    return 4 * stripped.pixels if isinstance(stripped, Still) else 0


def stripping_bytes(declared: str, limits: MediaLimits) -> int:
    """Memory that `strip` takes beside the body: for a PDF, one picture at a time."""
    return 4 * limits.pixels if declared == PDF else 0


def too_large(most: int) -> MediaError:
    """The fault of a body over the limit, in bytes."""
    return MediaError(
        errors.ERROR_REASON_TOO_LARGE,
        f"the body is larger than {most} bytes",
        "send it at a lower resolution or quality",
    )


def _strip_still(body: bytes, declared: str, most_pixels: int) -> Still:
    if declared == JPEG:
        still = jpeg.strip(body)
    elif declared == PNG:
        still = png.strip(body, most_pixels)
    else:
        still = webp.strip(body)
    if still.pixels > most_pixels:
        raise too_complex(f"the picture has more than {most_pixels} pixels", "send it at a lower resolution")
    return still


def _decode(still: Still, declared: str) -> None:
    """Decodes the stripped picture in full, so that what rests is known to open."""
    name = STILLS[declared]
    try:
        with Image.open(io.BytesIO(still.body), formats=[name.upper()]) as image:
            if image.size != (still.width, still.height):
                raise undecodable(name, "decodes to another size than its header says")
            image.load()
    except _UNFORESEEN:
        raise undecodable(name, "cannot be decoded") from None
    except Image.DecompressionBombError:
        raise too_complex(
            "the picture has more pixels than allowed", "send it at a lower resolution"
        ) from None


def silence_parsers() -> None:
    """Keeps the log messages of the parsers, which may quote a file's content, out of every log."""
    for name in ("PIL", "pypdf", "fontTools"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
