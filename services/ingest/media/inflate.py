"""Expands zlib data piece by piece to learn its size and its end, in the memory of one piece."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

_PIECE = 1 << 18


class Measured(NamedTuple):
    """What became known of a zlib stream."""

    consumed: int
    """Bytes of input that belong to the stream."""
    size: int
    """Bytes that it expands to; when above the limit, expansion stopped there."""
    complete: bool
    """Whether the stream ended, its check value proved."""


def measure(data: bytes, limit: int, look: Callable[[bytes], None] | None = None) -> Measured:
    """Expands at most `limit` bytes and one piece; raises `zlib.error` when the data breaks the format.

    `look` is shown each piece.

    Source: RFC 1950.
    """
    expand = zlib.decompressobj()
    size, pending = 0, data
    while not expand.eof and size <= limit:
        piece = expand.decompress(pending, _PIECE)
        pending = expand.unconsumed_tail
        size += len(piece)
        if look is not None:
            look(piece)
        if not piece and not pending:
            break
    return Measured(len(data) - len(expand.unused_data), size, expand.eof)
