"""Strips a JPEG 2000 picture, as PDFs embed them: its boxes by an allow-list, its comments by their marker.

Source: ITU-T T.800, annex A (code stream) and annex I (boxes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from services.ingest.media.fault import truncated, undecodable
from services.ingest.media.stripped import Removed, Still

_NAME = "JPEG 2000 picture"
_START = b"\xff\x4f\xff\x51"
_SIZE, _COMMENT, _TILE = 0xFF51, 0xFF64, 0xFF90
_KEPT = frozenset({b"jP  ", b"ftyp", b"jp2h", b"jp2c"})


def _boxes(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(body):
        length, kind = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 8]
        head = 8
        if length == 1:
            length, head = int.from_bytes(body[at + 8 : at + 16], "big"), 16
        elif length == 0:
            length = len(body) - at
        if length < head:
            raise undecodable(_NAME, "has a box of impossible length")
        if at + length > len(body):
            raise truncated(_NAME)
        yield kind, body[at + head : at + length]
        at += length


def _code_stream(data: bytes, removed: set[Removed]) -> tuple[bytes, int, int]:
    """The code stream without the comments of its main header, its width and its height."""
    if data[:4] != _START:
        raise undecodable(_NAME, "has no valid header")
    kept, at, width, height = [data[:2]], 2, 0, 0
    while at + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _TILE:
            return b"".join([*kept, data[at:]]), width, height
        end = at + 2 + length
        if marker == _SIZE and length >= 38:
            right, bottom, left, top = struct.unpack_from(">IIII", data, at + 6)
            width, height = right - left, bottom - top
        if marker == _COMMENT:
            removed.add(Removed.COMMENT)
        else:
            kept.append(data[at:end])
        at = end
    raise truncated(_NAME)


def strip(body: bytes) -> Still:
    """The picture with its code stream's pixels untouched and its metadata gone; raises MediaError."""
    removed: set[Removed] = set()
    if body[:4] == _START:
        stream, width, height = _code_stream(body, removed)
        return Still(stream, frozenset(removed), width, height)
    kept: list[bytes] = []
    width = height = 0
    for kind, data in _boxes(body):
        if kind == b"jp2c":
            data, width, height = _code_stream(data, removed)
        if kind in _KEPT:
            kept.append(struct.pack(">I", len(data) + 8) + kind + data)
        else:
            removed.add(Removed.XMP if kind == b"uuid" else Removed.VENDOR_DATA)
    if width <= 0 or height <= 0:
        raise undecodable(_NAME, "holds no picture")
    return Still(b"".join(kept), frozenset(removed), width, height)
