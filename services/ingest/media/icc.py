"""Colour profiles are kept, because without one the colours of a document are not what was photographed.

Source: ICC.1:2022, 7.2 (profile header).
"""

from __future__ import annotations

_HEADER_SIZE = 128
_SIGNATURE = slice(36, 40)
LARGEST = 4 * 1024 * 1024
"""Bytes. Press profiles reach two megabytes; no camera or scanner writes a larger one."""


def profile(data: bytes) -> bytes:
    """The profile without anything after its declared end; empty when the data is no colour profile."""
    declared = int.from_bytes(data[:4], "big")
    if data[_SIGNATURE] != b"acsp" or not _HEADER_SIZE < declared <= min(len(data), LARGEST):
        return b""
    return data[:declared]
