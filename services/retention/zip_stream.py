"""The bytes of a ZIP archive that is written in one pass: stored entries, ZIP64 throughout, deterministic.

As in PKWARE's APPNOTE 6.3.10: sizes and CRC-32 follow each entry in a data descriptor (4.3.9) and stand in
the central directory. No entry has a time of its own: all are dated 1980-01-01.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_VERSION: Final = 45  # the first with ZIP64
_MADE_BY: Final = 3 << 8 | _VERSION  # Unix
_FLAGS: Final = 0x0808  # a data descriptor follows; names are UTF-8
_DATE: Final = 0x0021
_MODE: Final = 0o100600 << 16
_MANY: Final = 0xFFFFFFFF
_DESCRIPTOR: Final = struct.Struct("<IIQQ")


class Entry(NamedTuple):
    """A written entry: its path, size in bytes, CRC-32, and SHA-256 in hexadecimal."""

    path: str
    size: int
    crc: int
    sha256: str

    @property
    def length(self) -> int:
        """Bytes it takes in the archive, header and descriptor included, without the central directory."""
        return len(local_header(self.path)) + self.size + _DESCRIPTOR.size


def local_header(path: str) -> bytes:
    """What stands before an entry's content."""
    name = path.encode()
    extra = struct.pack("<HHQQ", 1, 16, 0, 0)
    fixed = struct.pack(
        *("<IHHHHHIIIHH", 0x04034B50, _VERSION, _FLAGS, 0, 0, _DATE, 0, _MANY, _MANY, len(name), len(extra))
    )
    return fixed + name + extra


def descriptor(entry: Entry) -> bytes:
    """What stands after an entry's content."""
    return _DESCRIPTOR.pack(0x08074B50, entry.crc, entry.size, entry.size)


def directory_entry(entry: Entry, offset: int) -> bytes:
    """An entry in the central directory; `offset` is where its local header begins."""
    name = entry.path.encode()
    extra = struct.pack("<HHQQQ", 1, 24, entry.size, entry.size, offset)
    fixed = struct.pack(
        *("<IHHHHHHIIIHHHHHII", 0x02014B50, _MADE_BY, _VERSION, _FLAGS, 0, 0, _DATE, entry.crc),
        *(_MANY, _MANY, len(name), len(extra), 0, 0, 0, _MODE, _MANY),
    )
    return fixed + name + extra


def end(count: int, size: int, offset: int) -> bytes:
    """The end of the archive: of `count` entries, whose directory of `size` bytes begins at `offset`."""
    record = struct.pack(
        *("<IQHHIIQQQQ", 0x06064B50, 44, _MADE_BY, _VERSION, 0, 0, count, count, size, offset)
    )
    locator = struct.pack("<IIQI", 0x07064B50, 0, offset + size, 1)
    last = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, _MANY, _MANY, 0)
    return record + locator + last
