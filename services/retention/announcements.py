"""Announced versions of the privacy notice, logged exactly once each."""

from __future__ import annotations

from datetime import UTC

import grpc
from idv.notice.v1 import notice_pb2 as pb
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.types.v1 import receipt_pb2

from services.retention.entries import Entry, entry
from services.retention.log import TransparencyLog
from services.runtime.database import Database


class Announcements:
    """Logs the versions that the notice service announced. Safe in any number of replicas at once."""

    def __init__(self, database: Database, log: TransparencyLog, notice: grpc.aio.Channel) -> None:
        self._database = database
        self._log = log
        self._stub = NoticeServiceStub(notice)

    async def run(self) -> None:
        """Logs every announced version that the log does not hold yet, in the order of their numbers."""
        intervals = await self._announced()
        if not intervals:
            return
        async with self._database.transaction() as connection:
            await self._log.append(connection, [_entry(interval) for interval in intervals])

    async def _announced(self) -> list[pb.TermsInterval]:
        """The first message of the feed: all versions announced so far."""
        call = self._stub.WatchTerms(pb.WatchTermsRequest())
        try:
            async for message in call:
                return sorted(message.intervals, key=lambda interval: interval.terms.version)
        finally:
            call.cancel()
        return []


def _entry(interval: pb.TermsInterval) -> Entry:
    """It concerns no single Customer, so its opening is published; the digest is of the published notice."""
    facts = {
        "version": interval.terms.version,
        "digest": interval.digest.hex(),
        "announce_time": interval.announce_time.ToDatetime(UTC),
        "effective_time": interval.effective_time.ToDatetime(UTC)
        if interval.HasField("effective_time")
        else None,
    }
    source = f"announcement/{interval.terms.version}"
    return entry(receipt_pb2.ENTRY_KIND_NOTICE_ANNOUNCEMENT, source, facts, public=True)
