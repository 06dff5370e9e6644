"""Associated data: what a sealed body is bound to, encoded so that no two meanings share an encoding."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from services.storage.epochs import Epoch

_LENGTH = Struct(">I").pack


def length_prefixed(*parts: bytes) -> bytes:
    """Joins parts, each after its length as four bytes, big endian."""
    pieces: list[bytes] = []
    for part in parts:
        pieces.append(_LENGTH(len(part)))
        pieces.append(part)
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a sealed body belongs. A body moved to any other place does not open."""

    deployment: str
    customer: str
    session: str
    record: str
    item: str
    notice_version: int
    epoch: Epoch

    def encode(self) -> bytes:
        """The associated data of the body."""
        texts = (self.deployment, self.customer, self.session, self.record, self.item)
        return length_prefixed(
            b"idv body 1",
            *(text.encode() for text in texts),
            self.notice_version.to_bytes(4, "big"),
            self.epoch.day.isoformat().encode(),
            self.epoch.slot.to_bytes(2, "big"),
        )
