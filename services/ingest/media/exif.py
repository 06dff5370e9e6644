"""The one EXIF value that is kept: the orientation, written anew as the smallest TIFF structure there is.

Source: TIFF 6.0, sections 2 and 8; CIPA DC-008 (Exif), 4.6.
"""

from __future__ import annotations

import struct

PREFIX = b"Exif\0\0"
_ORIENTATION = 0x0112
_SHORT = 3
_UPRIGHT = 1
_ENTRY_SIZE = 12


def orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block states; 1 (upright) when it states none or is malformed."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return _UPRIGHT
    (offset,) = struct.unpack_from(f"{order}I", tiff, 4)
    if offset + 2 > len(tiff):
        return _UPRIGHT
    (count,) = struct.unpack_from(f"{order}H", tiff, offset)
    first = offset + 2
    for at in range(first, min(first + count * _ENTRY_SIZE, len(tiff) - _ENTRY_SIZE + 1), _ENTRY_SIZE):
        tag, kind, values, value = struct.unpack_from(f"{order}HHIH", tiff, at)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and values == 1 and 1 <= value <= 8 else _UPRIGHT
    return _UPRIGHT


def minimal(turned: int) -> bytes:
    """An EXIF block (26 bytes, no prefix) that states only the orientation; empty for an upright picture."""
    if turned == _UPRIGHT:
        return b""
    entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, turned, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
