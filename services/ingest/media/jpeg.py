"""Strips a JPEG by its markers: the coded pixels stay byte for byte, everything a decoder does not need goes.

Kept: frame, scan and table segments, the entropy-coded data, JFIF without its thumbnail, Adobe's colour
transform, the colour profile and the orientation, the last two written anew. Gone: all other EXIF, XMP, IPTC,
comments, vendor segments, and whatever follows the end of the image (second pictures, films, files).

Source: ITU-T T.81, annex B; ITU-T T.871 (JFIF); ICC.1:2022, annex B.4.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from services.ingest.media import exif, icc
from services.ingest.media.fault import too_complex, truncated, undecodable
from services.ingest.media.stripped import Removed, Still

MAGIC = b"\xff\xd8\xff"
_NAME = "JPEG"
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP1, _APP2, _APP13, _APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB})
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})  # Huffman, arithmetic, quantisation, restart interval
_APPLICATIONS = range(0xE0, 0xF0)
_COMMENT = 0xFE
_XMP = b"http://ns.adobe.com/x"  # the namespaces of XMP and of its extension start alike
_ICC = b"ICC_PROFILE\0"
_ICC_CHUNK = 65519
_MOST_SEGMENTS = 10_000
"""A profile and extended metadata in segments of 64 KiB take some hundred; each costs time and memory."""
_MOST_SCANS = 100
"""Encoders write about ten. A scan of a few bytes makes a decoder pass over all pixels once more."""
# Inside a scan, FF 00 is a stuffed FF and FF D0..D7 a restart; FF before any other byte starts a segment.
# Without a repetition, so that the search is linear whatever the bytes are, and leaps from FF to FF.
_FILL_STEP = 4096
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def _segment(marker: int, payload: bytes | memoryview) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _segments(body: bytes) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Each segment after the start: marker, payload, and what follows it outside any segment.

    After a scan that is the entropy-coded data, after the end of the image whatever was appended.
    """
    view = memoryview(body)
    at, end = 2, len(body)
    nothing = view[:0]
    count = 0
    while True:
        if at < end and body[at] != 0xFF:
            raise undecodable(_NAME, "has bytes between its segments that belong to none")
        while at < end and body[at] == 0xFF:
            at += 1
        if at >= end:
            raise truncated(_NAME)
        marker = body[at]
        at += 1
        count += 1
        if count > _MOST_SEGMENTS:
            raise too_complex(f"the JPEG has more than {_MOST_SEGMENTS} segments", "save it again as a JPEG")
        if marker == _EOI:
            yield marker, nothing, view[at:]
            return
        if at + 2 > end:
            raise truncated(_NAME)
        length = int.from_bytes(view[at : at + 2], "big")
        if length < 2:
            raise undecodable(_NAME, "has a segment of impossible length")
        if at + length > end:
            raise truncated(_NAME)
        payload = view[at + 2 : at + length]
        at += length
        if marker != _SOS:
            yield marker, payload, nothing
            continue
        found = _NEXT_MARKER.search(body, at)
        if found is None:
            raise truncated(_NAME)
        coded = view[at : _without_fill(body, at, found.start())]
        yield marker, payload, coded
        at += len(coded)


def _without_fill(body: bytes, start: int, end: int) -> int:
    """Where the data in `start` to `end` ends without the FF bytes that only fill up before a marker."""
    while end > start:
        tail = body[max(start, end - _FILL_STEP) : end]
        kept = len(tail.rstrip(b"\xff"))
        end -= len(tail) - kept
        if kept:
            break
    return end


class _Filter:
    """Collects what stays while the segments pass by."""

    def __init__(self) -> None:
        self.kept: list[bytes | memoryview] = []
        self.size: tuple[int, int] | None = None
        self.jfif = b""
        self.orientation = 1
        self.profile: dict[int, bytes] = {}
        self.profile_chunks = 0
        self.scans = 0
        self.removed: set[Removed] = set()

    def take(self, marker: int, payload: memoryview, after: memoryview) -> None:
        """Keeps, rewrites or drops one segment; a segment that no still picture has is a fault."""
        if marker in _APPLICATIONS:
            self._application(marker, bytes(payload))
        elif marker == _COMMENT:
            self.removed.add(Removed.COMMENT)
        elif marker == _EOI:
            self.removed |= {Removed.TRAILING_DATA} if after else set()
        else:
            self._coded(marker, payload)
            self.kept += (_segment(marker, payload), after)

    def _coded(self, marker: int, payload: memoryview) -> None:
        if marker in _FRAMES:
            self._frame(payload)
        elif marker == _SOS:
            self.scans += 1
            if self.size is None:
                raise undecodable(_NAME, "has a scan before its frame")
            if self.scans > _MOST_SCANS:
                raise too_complex(f"the JPEG has more than {_MOST_SCANS} scans", "send it as a baseline JPEG")
        elif marker not in _TABLES:
            raise undecodable(_NAME, "has a segment that no still picture has")

    def _frame(self, payload: memoryview) -> None:
        if self.size is not None or len(payload) < 6:
            raise undecodable(_NAME, "has no single, whole frame")
        height, width = struct.unpack_from(">HH", payload, 1)
        if not height or not width:
            raise undecodable(_NAME, "has a frame without a size")
        self.size = (width, height)

    def _application(self, marker: int, payload: bytes) -> None:
        if marker == _APP0 and payload[:5] == b"JFIF\0" and len(payload) >= 14 and not self.jfif:
            self.jfif = payload[:12] + b"\0\0"  # version and density, without the thumbnail
            self.removed |= {Removed.THUMBNAIL} if payload[12:] != b"\0\0" else set()
        elif marker == _APP1 and payload[:6] == exif.PREFIX:
            self._exif(payload[6:])
        elif marker == _APP2 and payload[:12] == _ICC and len(payload) > 14:
            self.profile.setdefault(payload[12], payload[14:])
            self.profile_chunks = payload[13]
        elif marker == _APP14 and payload[:5] == b"Adobe" and len(payload) >= 12:
            self.kept.append(_segment(marker, payload[:12]))
        elif marker == _APP1 and payload.startswith(_XMP):
            self.removed.add(Removed.XMP)
        else:
            self.removed.add(Removed.IPTC if marker == _APP13 else Removed.VENDOR_DATA)

    def _exif(self, tiff: bytes) -> None:
        if self.orientation == 1:
            self.orientation = exif.orientation(tiff)
        self.removed |= {Removed.EXIF} if tiff != exif.minimal(self.orientation) else set()

    def _profile_segments(self) -> list[bytes]:
        if sorted(self.profile) != list(range(1, self.profile_chunks + 1)):
            return []
        whole = icc.profile(b"".join(self.profile[number] for number in sorted(self.profile)))
        pieces = [whole[at : at + _ICC_CHUNK] for at in range(0, len(whole), _ICC_CHUNK)]
        count = len(pieces)
        return [_segment(_APP2, _ICC + bytes((at, count)) + piece) for at, piece in enumerate(pieces, 1)]

    def head(self) -> list[bytes]:
        """The start of the stripped file, up to its first kept segment."""
        turned = exif.minimal(self.orientation)
        return [
            MAGIC[:2],
            *([_segment(_APP0, self.jfif)] if self.jfif else []),
            *([_segment(_APP1, exif.PREFIX + turned)] if turned else []),
            *self._profile_segments(),
        ]


def strip(body: bytes) -> Still:
    """The JPEG with its pixels untouched and its metadata gone; raises MediaError if it is broken."""
    chosen = _Filter()
    for marker, payload, after in _segments(body):
        chosen.take(marker, payload, after)
    if chosen.size is None or not chosen.scans:
        raise undecodable(_NAME, "holds no picture")
    whole = b"".join([*chosen.head(), *chosen.kept, b"\xff\xd9"])
    return Still(whole, frozenset(chosen.removed), *chosen.size)
