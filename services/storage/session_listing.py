"""Lists sessions with what they were opened with, of a subject or a Customer, for the support of rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2

from services.runtime.database import Database
from services.runtime.resources import parse_customer
from services.storage import pages
from services.storage.listing import Subjects
from services.storage.sessions import Sessions
from services.storage.store import fences
from services.storage.store import sessions as store
from services.storage.store.driver import driver
from services.storage.store.fences import Fence


class SessionListing:
    """Answers `ListSessions`."""

    def __init__(self, database: Database, subjects: Subjects, sessions: Sessions) -> None:
        self._database, self._subjects, self._sessions = database, subjects, sessions

    async def page(self, request: storage_pb2.ListSessionsRequest) -> storage_pb2.ListSessionsResponse:
        """One page, by creation time; raises INVALID_ARGUMENT."""
        customer = parse_customer(request.parent, field="parent")
        after = pages.decode(request.page_token)
        size = request.page_size or pages.DEFAULT_SIZE
        answer = storage_pb2.ListSessionsResponse()
        seen = 0
        async for day, digest in self._days(customer, request, after[0].date() if after else date.min):
            position = after if after and after[0].date() == day else None
            rows, walls = await self._rows(customer, day, digest, position, size - seen)
            seen += len(rows)
            for row in rows:
                overtaken = any(wall.holds(customer, None, row.create_time) for wall in walls)
                if not overtaken and (opening := await self._open(row)):
                    answer.sessions.append(opening)
            if seen == size:
                answer.next_page_token = pages.encode(rows[-1].create_time, rows[-1].session)
                break
        return answer

    async def _days(
        self, customer: str, request: storage_pb2.ListSessionsRequest, since: date
    ) -> AsyncIterator[tuple[date, bytes | None]]:
        for day in await self._subjects.days():
            if day < since:
                continue
            if request.WhichOneof("filter") == "everything":
                yield day, None
            elif (digest := await self._subjects.digest(day, customer, request.subject)) is not None:
                yield day, digest

    async def _rows(
        self, customer: str, day: date, digest: bytes | None, after: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[list[store.SessionRow], list[Fence]]:
        async with self._database.transaction([customer]) as connection:
            rows = await store.page(connection, day, customer, digest, after, limit)
            return rows, await fences.listed(await driver(connection), day, [customer])

    async def _open(self, row: store.SessionRow) -> storage_pb2.SessionOpening | None:
        """None for one whose key has ended with its term."""
        try:
            return await self._sessions.opening(row)
        except IdvError as error:
            if error.reason != Reason.ERROR_REASON_EXPIRED:
                raise
            return None
