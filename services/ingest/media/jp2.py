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
_SIZE, _COMMENT, _TILE, _DATA, _END = 0xFF51, 0xFF64, 0xFF90, 0xFF93, 0xFFD9
_TILE_HEAD = 12
"""Bytes of the segment that begins a tile part; its length stands at 6."""
_KEPT = frozenset({b"jP  ", b"ftyp", b"jp2h", b"jp2c"})
_KEPT_IN_HEADER = frozenset({b"ihdr", b"bpcc", b"colr", b"pclr", b"cmap", b"cdef", b"res "})


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
    """The code stream without comments and without what follows its end, its width and its height."""
    if data[:4] != _START:
        raise undecodable(_NAME, "has no valid header")
    kept, at, width, height = [data[:2]], 2, 0, 0
    while at + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _TILE:
            return b"".join([*kept, *_tile_parts(data, at, removed), _END.to_bytes(2, "big")]), width, height
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


def _tile_parts(data: bytes, at: int, removed: set[Removed]) -> Iterator[bytes]:
    """Each tile part up to the end of the code stream, its comments removed."""
    while data[at : at + 2] == _TILE.to_bytes(2, "big"):
        length = int.from_bytes(data[at + 6 : at + 10], "big")
        if not length:  # the last one, up to the end: no such marker can stand in the data of a tile
            length = data.find(_END.to_bytes(2, "big"), at + _TILE_HEAD) - at
        if length < _TILE_HEAD + 2 or at + length > len(data):
            raise truncated(_NAME)
        yield _tile_part(data[at : at + length], removed)
        at += length
    if data[at : at + 2] != _END.to_bytes(2, "big"):
        raise truncated(_NAME)
    removed |= {Removed.TRAILING_DATA} if data[at + 2 :] else set()


def _tile_part(part: bytes, removed: set[Removed]) -> bytes:
    kept, at = [], _TILE_HEAD
    while (marker := int.from_bytes(part[at : at + 2], "big")) != _DATA:
        end = at + 2 + max(2, int.from_bytes(part[at + 2 : at + 4], "big"))
        if end > len(part):
            raise truncated(_NAME)
        if marker == _COMMENT:
            removed.add(Removed.COMMENT)
        else:
            kept.append(part[at:end])
        at = end
    rest = b"".join([*kept, part[at:]])
    return part[:6] + (_TILE_HEAD + len(rest)).to_bytes(4, "big") + part[10:_TILE_HEAD] + rest


def _header_box(data: bytes, removed: set[Removed]) -> bytes:
    """The boxes that say how the pixels are to be read; others have no place in the header box."""
    kept = []
    for kind, inside in _boxes(data):
        if kind in _KEPT_IN_HEADER:
            kept.append(_box(kind, inside))
        else:
            removed.add(Removed.VENDOR_DATA)
    return b"".join(kept)


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data


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
        elif kind == b"jp2h":
            data = _header_box(data, removed)
        if kind in _KEPT:
            kept.append(_box(kind, data))
        else:
            removed.add(Removed.XMP if kind == b"uuid" else Removed.VENDOR_DATA)
    if width <= 0 or height <= 0:
        raise undecodable(_NAME, "holds no picture")
    return Still(b"".join(kept), frozenset(removed), width, height)
