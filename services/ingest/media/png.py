"""Strips a PNG by an allow-list of chunks; the compressed pixels stay byte for byte.

Kept: header, palette, transparency, colour space, density, the pixels, the colour profile under a neutral
name, and the orientation. Gone: texts, times, EXIF, animation, private chunks, and bytes after the pixels'
stream or after the end.

Source: W3C PNG Specification (third edition), 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from services.ingest.media import exif, icc, inflate
from services.ingest.media.fault import too_complex, truncated, undecodable
from services.ingest.media.stripped import Removed, Still

MAGIC = b"\x89PNG\r\n\x1a\n"
_NAME = "PNG"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_DEPTHS = frozenset({1, 2, 4, 8, 16})
_PALETTE = range(3, 769, 3)
# Ancillary chunks that change how pixels look, each with the lengths it can have; of another length it goes.
_ANCILLARY = {
    b"tRNS": range(1, 257),
    b"gAMA": (4,),
    b"cHRM": (32,),
    b"sRGB": (1,),
    b"cICP": (4,),
    b"sBIT": range(1, 5),
    b"bKGD": (1, 2, 6),
    b"pHYs": (9,),
}
_REMOVED = {
    b"tEXt": Removed.COMMENT,
    b"zTXt": Removed.COMMENT,
    b"iTXt": Removed.COMMENT,
    b"tIME": Removed.INFORMATION,
    b"acTL": Removed.ANIMATION,
    b"fcTL": Removed.ANIMATION,
    b"fdAT": Removed.ANIMATION,
}
_XMP = b"XML:com.adobe.xmp\0"
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk, its check value proved; the end chunk comes with what was appended to the file."""
    at = len(MAGIC)
    while True:
        if at + 12 > len(body):
            raise truncated(_NAME)
        (length,) = struct.unpack_from(">I", body, at)
        kind = body[at + 4 : at + 8]
        if at + 12 + length > len(body):
            raise truncated(_NAME)
        data = body[at + 8 : at + 8 + length]
        at += 12 + length
        if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(body[at - 4 : at], "big"):
            raise undecodable(_NAME, "has a chunk whose check value does not match")
        if kind == b"IEND":
            yield kind, body[at:]
            return
        yield kind, data


def _expected_size(header: bytes) -> int:
    """How many bytes the pixels' stream expands to, filter bytes included."""
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    bits = depth * _CHANNELS[colour]

    def rows(columns: int, lines: int) -> int:
        return lines * (1 + (columns * bits + 7) // 8) if columns else 0

    if not interlace:
        return rows(width, height)
    return sum(rows(-((x - width) // across), -((y - height) // down)) for x, y, across, down in _ADAM7)


def _check_header(header: bytes) -> None:
    if len(header) != 13:
        raise undecodable(_NAME, "has no valid header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    sizes_fit = 0 < width < 1 << 31 and 0 < height < 1 << 31
    kinds_fit = (
        depth in _DEPTHS and colour in _CHANNELS and not compression and not filtering and interlace <= 1
    )
    if not sizes_fit or not kinds_fit:
        raise undecodable(_NAME, "has no valid header")


def _pixel_stream(data: bytes, expected: int) -> bytes:
    """The compressed pixels without anything hidden after them."""
    try:
        consumed, size, complete = inflate.measure(data, expected)
    except zlib.error:
        raise undecodable(_NAME, "has pixels that do not decompress") from None
    if size > expected:
        raise undecodable(_NAME, "holds more pixels than its header says")
    if not complete or size < expected:
        raise truncated(_NAME)
    return data[:consumed]


def _profile(data: bytes) -> bytes:
    """The colour profile chunk under a neutral name; empty when it holds no profile."""
    _, _, rest = data.partition(b"\0")
    try:
        found = icc.profile(zlib.decompressobj().decompress(rest[1:], icc.LARGEST))
    except zlib.error:
        return b""
    return _chunk(b"iCCP", b"icc\0\0" + zlib.compress(found)) if found else b""


class _Filter:
    """Collects what stays while the chunks pass by."""

    def __init__(self, header: bytes) -> None:
        self.before = [_chunk(b"IHDR", header)]
        self.seen: set[bytes] = set()
        self.pixels: list[bytes] = []
        self.orientation = 1
        self.removed: set[Removed] = set()

    def take(self, kind: bytes, data: bytes) -> None:
        """Keeps, rewrites or drops one chunk; an unknown chunk that a decoder must understand is a fault."""
        critical = kind[:1].isupper()
        if kind == b"IDAT":
            self.pixels.append(data)
        elif kind == b"IEND":
            self.removed |= {Removed.TRAILING_DATA} if data else set()
        elif critical and kind in self.seen:
            raise undecodable(_NAME, "repeats a chunk")
        elif kind == b"PLTE":
            if len(data) not in _PALETTE or self.pixels:
                raise undecodable(_NAME, "has a palette of impossible length or place")
            self.before.append(_chunk(kind, data))
        elif critical:
            raise undecodable(_NAME, "has a critical chunk that the format does not know")
        else:
            self._ancillary(kind, data)
        self.seen.add(kind)

    def _ancillary(self, kind: bytes, data: bytes) -> None:
        in_place = kind not in self.seen and not self.pixels
        if kind == b"eXIf":
            self.orientation = exif.orientation(data)
            self.removed |= {Removed.EXIF} if data != exif.minimal(self.orientation) else set()
        elif kind == b"iCCP" and in_place:
            self.before.append(_profile(data))
        elif in_place and len(data) in _ANCILLARY.get(kind, ()):
            self.before.append(_chunk(kind, data))
        else:
            text = Removed.XMP if data.startswith(_XMP) else _REMOVED.get(kind, Removed.VENDOR_DATA)
            self.removed.add(text)


def strip(body: bytes, most_pixels: int) -> Still:
    """The PNG with its pixels untouched and its metadata gone.

    `most_pixels` is checked before anything is expanded. Raises MediaError when the structure is broken.
    """
    chunks = _chunks(body)
    kind, header = next(chunks, (b"", b""))
    if kind != b"IHDR":
        raise undecodable(_NAME, "does not start with its header")
    _check_header(header)
    width, height = struct.unpack_from(">II", header)
    if width * height > most_pixels:
        raise too_complex(f"the picture has more than {most_pixels} pixels", "send it at a lower resolution")
    chosen = _Filter(header)
    for kind, data in chunks:
        chosen.take(kind, data)
    stream = b"".join(chosen.pixels)
    pixels = _pixel_stream(stream, _expected_size(header))
    hidden = {Removed.TRAILING_DATA} if len(pixels) < len(stream) else set()
    turned = exif.minimal(chosen.orientation)
    parts = [MAGIC, *chosen.before, _chunk(b"eXIf", turned) if turned else b"", _chunk(b"IDAT", pixels)]
    whole = b"".join([*parts, _chunk(b"IEND", b"")])
    return Still(whole, frozenset(chosen.removed | hidden), width, height)
