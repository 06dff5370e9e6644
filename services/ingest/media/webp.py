"""Strips a WebP by an allow-list of RIFF chunks; the coded pixels stay byte for byte.

Kept: the one picture, its transparency, the colour profile and the orientation. Gone: XMP, all other EXIF,
unknown chunks and whatever follows the container. Animations are refused: a face image or document is one
still picture.

Source: RFC 9649, 2 (container), 2.6 and 3 (VP8 and VP8L headers); RFC 6386, 9.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from services.ingest.media import exif, icc
from services.ingest.media.fault import too_complex, truncated, undecodable
from services.ingest.media.stripped import Removed, Still

_NAME = "WebP"
_EXTENDED, _LOSSY, _LOSSLESS, _ALPHA = b"VP8X", b"VP8 ", b"VP8L", b"ALPH"
_KNOWN = frozenset({_EXTENDED, _LOSSY, _LOSSLESS, _ALPHA, b"ICCP", b"EXIF", b"XMP "})
_MOST_CHUNKS = 1000
_HAS_PROFILE, _HAS_ALPHA, _HAS_EXIF, _HAS_ANIMATION = 0x20, 0x10, 0x08, 0x02


def is_webp(head: bytes) -> bool:
    """Whether the first 12 bytes of a body are those of a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = 8 + int.from_bytes(body[4:8], "little")
    if end > len(body):
        raise truncated(_NAME)
    at = 12
    while at < end:
        if at + 8 > end:
            raise truncated(_NAME)
        kind, length = body[at : at + 4], int.from_bytes(body[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise truncated(_NAME)
        yield kind, body[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _lossy_size(data: bytes) -> tuple[int, int]:
    if len(data) < 10 or data[3:6] != b"\x9d\x01\x2a":
        raise undecodable(_NAME, "has no valid picture header")
    width, height = struct.unpack_from("<HH", data, 6)
    return width & 0x3FFF, height & 0x3FFF


def _lossless_size(data: bytes) -> tuple[int, int]:
    if len(data) < 5 or data[0] != 0x2F:
        raise undecodable(_NAME, "has no valid picture header")
    bits = int.from_bytes(data[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _picture(chunks: dict[bytes, bytes]) -> tuple[bytes, tuple[int, int]]:
    """The chunk that holds the coded picture, and the picture's width and height in pixels."""
    if (_LOSSY in chunks) == (_LOSSLESS in chunks):
        raise undecodable(_NAME, "holds no single picture")
    if _LOSSY in chunks:
        size = _lossy_size(chunks[_LOSSY])
        kind = _LOSSY
    else:
        size = _lossless_size(chunks[_LOSSLESS])
        kind = _LOSSLESS
    if not size[0] or not size[1]:
        raise undecodable(_NAME, "has a picture without a size")
    return kind, size


def _extended(chunks: dict[bytes, bytes], size: tuple[int, int]) -> tuple[int, bytes, bytes]:
    """Flags, colour profile and orientation to write into an extended file."""
    header = chunks[_EXTENDED]
    if len(header) != 10:
        raise undecodable(_NAME, "has no valid header")
    if header[0] & _HAS_ANIMATION or b"ANIM" in chunks or b"ANMF" in chunks:
        raise too_complex("the WebP is an animation", "send one still picture")
    canvas = tuple(int.from_bytes(header[at : at + 3], "little") + 1 for at in (4, 7))
    if canvas != size:
        raise undecodable(_NAME, "has a picture that does not fill its canvas")
    stated = chunks.get(b"EXIF", b"")
    turned = exif.minimal(exif.orientation(stated.removeprefix(exif.PREFIX)))
    found = icc.profile(chunks.get(b"ICCP", b""))
    flags = header[0] & _HAS_ALPHA | (_HAS_PROFILE if found else 0) | (_HAS_EXIF if turned else 0)
    return flags, found, turned


def _removed(body: bytes, chunks: dict[bytes, bytes], turned: bytes) -> frozenset[Removed]:
    stated = chunks.get(b"EXIF", b"")
    found = {
        Removed.EXIF: stated != turned,
        Removed.XMP: b"XMP " in chunks,
        Removed.VENDOR_DATA: not chunks.keys() <= _KNOWN,
        Removed.TRAILING_DATA: 8 + int.from_bytes(body[4:8], "little") < len(body),
    }
    return frozenset(kind for kind, present in found.items() if present)


def strip(body: bytes) -> Still:
    """The WebP with its pixels untouched and its metadata gone; raises MediaError if it is broken."""
    chunks: dict[bytes, bytes] = {}
    for kind, data in _chunks(body):
        chunks.setdefault(kind, data)
        if len(chunks) > _MOST_CHUNKS:
            raise too_complex(f"the WebP has more than {_MOST_CHUNKS} kinds of chunk", "save it again")
    kind, size = _picture(chunks)
    parts = [_chunk(kind, chunks[kind])]
    turned = b""
    if _EXTENDED in chunks:
        flags, profile, turned = _extended(chunks, size)
        if _ALPHA in chunks and kind == _LOSSY:
            parts.insert(0, _chunk(_ALPHA, chunks[_ALPHA]))
        if profile:
            parts.insert(0, _chunk(b"ICCP", profile))
        if turned:
            parts.append(_chunk(b"EXIF", turned))
        parts.insert(0, _chunk(_EXTENDED, bytes((flags, 0, 0, 0)) + chunks[_EXTENDED][4:]))
    content = b"WEBP" + b"".join(parts)
    whole = b"RIFF" + struct.pack("<I", len(content)) + content
    return Still(whole, _removed(body, chunks, turned), *size)
