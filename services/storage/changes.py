"""What is set or lifted for a subject, once for each request: a late repeat must not set again what was
lifted.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from idv.errors import IdvError, Reason
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.storage.days import Days
from services.storage.keys import Keyring
from services.storage.store import days as day_store
from services.storage.store import locks
from services.storage.store import rights as store
from services.storage.store.rights import Change


class Request(NamedTuple):
    """A request to change something: whose, under which id, and what exactly."""

    customer: str
    request_id: UUID
    content: bytes


class Answer(NamedTuple):
    """What a change is answered."""

    record_count: int
    time: datetime | None


Apply = Callable[[AsyncConnection], Awaitable[Answer]]


class Changes:
    """Applies changes under the exclusive locks of the days they concern, as erasures do."""

    def __init__(self, database: Database, keys: Keyring, days: Days, clock: Clock) -> None:
        self._database, self._keys, self._days, self._clock = database, keys, days, clock

    async def recent(self, back: timedelta) -> list[date]:
        """The days since so long ago, tomorrow included, that sessions may be of; each made ready.

        A session that is opened while a change is made is of one of them: under that day's lock one of the
        two waits for the other.
        """
        today = self._clock.now().date()
        for day in (today, today + timedelta(days=1)):
            await self._days.ready(day)
        listed = [day.day for day in await self._days.listed()]
        return [day for day in listed if today - back <= day <= today + timedelta(days=1)]

    async def digests(self, days: list[date], customer: str, subject: str) -> dict[date, bytes]:
        """The subject's digest on each day, oldest first; days whose key is gone or was never made are left
        out, but for today and tomorrow.
        """
        today, found = self._clock.now().date(), dict[date, bytes]()
        for day in days:
            key = await (self._keys.day_key(day) if day >= today else self._keys.existing_day_key(day))
            if key is not None:
                found[day] = key.subject(customer, subject)
        return found

    async def once(self, request: Request, days: list[date], apply: Apply) -> Answer:
        """Applies the change unless its request was answered before; raises REQUEST_ID_REUSED."""
        today = self._clock.now().date()
        mac = await self._mac(today, request)
        async with self._database.transaction([request.customer]) as connection:
            await locks.request(connection, request.customer, request.request_id)
            first = await store.find_change(connection, request.customer, request.request_id)
            if first is None:
                for day in days:
                    await locks.day_for_erasing(connection, day)
                await day_store.add_tenant(connection, request.customer)
                answer = await apply(connection)
                made = Change(today, request.customer, request.request_id, mac, *answer)
                await store.add_change(connection, made)
                return answer
        if not hmac.compare_digest(first.request_mac, await self._mac(first.day, request)):
            raise IdvError(
                Reason.ERROR_REASON_REQUEST_ID_REUSED,
                "the request id was used before for another change",
                field="request_id",
                remedy="use a new UUID for each new change",
            )
        return Answer(first.record_count, first.answer_time)

    async def _mac(self, day: date, request: Request) -> bytes:
        return (await self._keys.day_key(day)).content(request.customer, request.content)
