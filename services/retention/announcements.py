"""What happened to versions of the privacy notice, logged exactly once each.

Notice numbers every change of a version's state without gaps; retention fetches them by a cursor, so that a
version announced and withdrawn between two looks leaves its leaves too. Leaves and cursor move in one
transaction.
"""

from __future__ import annotations

from datetime import UTC
from typing import Final

import grpc
from idv.notice.v1 import notice_pb2 as pb
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.types.v1 import receipt_pb2

from services.retention import store
from services.retention.entries import Entry, entry
from services.retention.log import TransparencyLog
from services.runtime.database import Database

_CURSOR: Final = "notice_changes"
_PAGE: Final = 500


class Announcements:
    """Logs changes of versions. Safe in any number of replicas at once."""

    def __init__(self, database: Database, log: TransparencyLog, notice: grpc.aio.Channel) -> None:
        self._database = database
        self._log = log
        self._stub = NoticeServiceStub(notice)

    async def run(self) -> None:
        """Logs every change that notice knows and this log does not hold yet, in their order."""
        while await self._log_page():
            pass

    async def _log_page(self) -> bool:
        """Logs the next page; says whether more may follow."""
        async with self._database.transaction() as connection:
            position = await store.cursor(connection, _CURSOR)
        request = pb.ListNoticeChangesRequest(after_sequence=position, page_size=_PAGE)
        changes = (await self._stub.ListNoticeChanges(request)).changes
        if not changes:
            return False
        async with self._database.transaction() as connection:
            if await store.cursor(connection, _CURSOR, lock=True) != position:
                return True  # another replica logged this page meanwhile
            await store.move_cursor(connection, _CURSOR, changes[-1].sequence)
            await self._log.append(connection, [made for change in changes for made in _entries(change)])
        return len(changes) == _PAGE


def _entries(change: pb.NoticeChange) -> list[Entry]:
    """The change; and where it is the clearing of a gate, how the version was delivered: counts alone."""
    if not change.HasField("told"):
        return [_entry(change)]
    told = change.told
    facts = {
        "version": change.version,
        "digest": change.digest.hex(),
        "clear": pb.NoticeChangeKind.Name(change.kind).removeprefix("NOTICE_CHANGE_KIND_").lower(),
        "clear_time": change.change_time.ToDatetime(UTC),
        **{field.name: getattr(told, field.name) for field in told.DESCRIPTOR.fields},
    }
    kind, source = receipt_pb2.ENTRY_KIND_NOTICE_DELIVERY, f"delivery/{change.version}"
    return [_entry(change), entry(kind, source, facts, public=True)]


def _entry(change: pb.NoticeChange) -> Entry:
    """It concerns no single Customer, so its opening is published; the digest is of terms and texts."""
    facts = {"version": change.version, "digest": change.digest.hex()}
    if change.kind == pb.NOTICE_CHANGE_KIND_ANNOUNCED:
        times = {
            "announce_time": change.change_time.ToDatetime(UTC),
            "effective_time": change.effective_time.ToDatetime(UTC),
        }
        kind, source = receipt_pb2.ENTRY_KIND_NOTICE_ANNOUNCEMENT, f"announcement/{change.version}"
        return entry(kind, source, facts | times, public=True)
    what = {
        "change": pb.NoticeChangeKind.Name(change.kind).removeprefix("NOTICE_CHANGE_KIND_").lower(),
        "change_time": change.change_time.ToDatetime(UTC),
    }
    kind, source = receipt_pb2.ENTRY_KIND_NOTICE_CHANGE, f"notice-change/{change.sequence}"
    return entry(kind, source, facts | what, public=True)
