"""What storage destroyed at the end of its term, logged exactly once.

Storage destroys on time whether or not retention is there; retention fetches what was done by a cursor.
Leaves and cursor move in one transaction, so a crash between fetching and logging loses and repeats nothing.
"""

from __future__ import annotations

from datetime import UTC
from typing import Final

from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import receipt_pb2

from services.retention import store
from services.retention.entries import Entry, entry
from services.retention.log import TransparencyLog
from services.retention.storage_gateway import StorageGateway
from services.runtime.database import Database

_CURSOR: Final = "destructions"
_PAGE: Final = 500
LEAF_KINDS: Final = {
    pb.DESTRUCTION_KIND_KEY: receipt_pb2.ENTRY_KIND_KEY_DESTRUCTION,
    pb.DESTRUCTION_KIND_DAY: receipt_pb2.ENTRY_KIND_DAY_REMOVAL,
}
"""The kind of leaf for each kind of destruction."""


class Expiries:
    """Logs destructions. Safe in any number of replicas at once."""

    def __init__(self, database: Database, log: TransparencyLog, storage: StorageGateway) -> None:
        self._database = database
        self._log = log
        self._storage = storage

    async def run(self) -> None:
        """Logs everything that storage has destroyed and this log does not hold yet."""
        while await self._log_page():
            pass

    async def _log_page(self) -> bool:
        """Logs the next page; says whether more may follow."""
        async with self._database.transaction() as connection:
            position = await store.cursor(connection, _CURSOR)
        fetched = await self._storage.destructions(position, _PAGE)
        next_ones = _contiguous(fetched, position)
        if not next_ones:
            return False
        async with self._database.transaction() as connection:
            if await store.cursor(connection, _CURSOR, lock=True) != position:
                return True  # another replica logged this page meanwhile
            await store.move_cursor(connection, _CURSOR, next_ones[-1].sequence)
            await self._log.append(connection, [_entry(destruction) for destruction in next_ones])
        return len(fetched) == _PAGE


def _contiguous(fetched: list[pb.Destruction], position: int) -> list[pb.Destruction]:
    """Those that follow `position` without a gap: what is missing is waited for, never skipped."""
    expected = range(position + 1, position + 1 + len(fetched))
    return [one for one, sequence in zip(fetched, expected, strict=True) if one.sequence == sequence]


def _entry(destruction: pb.Destruction) -> Entry:
    """It names no Customer, so its opening is published. Due and done stand side by side: a delay shows."""
    facts = {
        "sequence": destruction.sequence,
        "day": destruction.day,
        "slot": destruction.slot if destruction.kind == pb.DESTRUCTION_KIND_KEY else None,
        "due_time": destruction.due_time.ToDatetime(UTC),
        "destroy_time": destruction.destroy_time.ToDatetime(UTC),
        "record_count": destruction.record_count,
    }
    return entry(LEAF_KINDS[destruction.kind], f"destruction/{destruction.sequence}", facts, public=True)
