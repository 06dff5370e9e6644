"""Erasure of a wide scope, in steps that are short however much there is, each repeatable after a crash.

First a fence goes up on every day it touches, under the day's exclusive lock: at once nothing within is
readable, and nothing received within can be committed any more, so that what is left can be removed without
holding up writers. Then page by page, day by day: objects go, rows become tombstones, sessions close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from idv.errors import IdvError, Reason
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.storage.days import Days
from services.storage.epochs import Epoch
from services.storage.objects import Objects
from services.storage.scopes import Scope
from services.storage.store import erasures as store
from services.storage.store import fences, locks, sweeps
from services.storage.store.erasures import ErasureRow, Step
from services.storage.store.fences import Fence


class Sweeping:
    """Takes an intended erasure of a wide scope to `Step.FENCED`, a page of `page` rows at a time."""

    def __init__(self, database: Database, days: Days, objects: Objects, clock: Clock, *, page: int) -> None:
        self._database, self._days, self._objects, self._clock = database, days, objects, clock
        self._page = page

    async def advance(self, row: ErasureRow, scope: Scope) -> ErasureRow:
        """Does the next step and notes it; doing it twice is as good as once."""
        days = await self._touched(scope)
        if row.days_total is None:
            return await self._fence(row, scope, days)
        for day in days:
            if row.swept_day is None or day >= row.swept_day:
                finished = row.swept_day == day and row.swept_time is None
                if not finished:
                    return await self._sweep(row, scope, day)
        return await self._end(row)

    async def _touched(self, scope: Scope) -> list[date]:
        """Days whose rows exist and that may hold what is within; those that are due are expiry's."""
        now = self._clock.now()
        return [
            day.day
            for day in await self._days.listed()
            if scope.touches(day.day)
            and now < Epoch.of_day(day.day).due(self._days.term_of(day.retention_days))
        ]

    async def _fence(self, row: ErasureRow, scope: Scope, days: Sequence[date]) -> ErasureRow:
        final = row.request_time
        for day in days:
            async with self._database.transaction([row.customer]) as connection:
                await locks.day_for_erasing(connection, day)
                newest = await sweeps.newest(connection, day, scope.widest)
                await fences.add(connection, day, row.erasure, scope.upto(newest))
            if newest is not None:
                final = max(final, Epoch.of(day, newest).due(await self._days.term(day)))
        fenced = replace(row, days_total=len(days), days_done=0, final_time=final)
        return await self._note(row, fenced)

    async def _sweep(self, row: ErasureRow, scope: Scope, day: date) -> ErasureRow:
        """One page of the day's records; when there are none left, one of its sessions."""
        async with self._database.transaction([row.customer]) as connection:
            fence = await fences.find(connection, day, row.customer, row.erasure)
            doomed = []
            if fence is not None:
                since = row.swept_time if row.swept_day == day and row.swept_time else fence.start
                doomed = await sweeps.page(connection, day, fence, since, self._page)
        if doomed:
            return await self._remove(row, day, doomed)
        if fence is not None and scope.closes_sessions:  # a day without one was made after the request
            return await self._close(row, fence, day, whole=scope.whole)
        return await self._note(row, _finished(row, day))

    async def _remove(self, row: ErasureRow, day: date, doomed: Sequence[sweeps.Doomed]) -> ErasureRow:
        names = [one.object for one in doomed if one.object]
        await self._objects.delete(day, names)
        for name in names:
            if await self._objects.exists(day, name):
                raise IdvError(
                    Reason.ERROR_REASON_UNAVAILABLE, "an erased object is still there", retry_after=5.0
                )
        async with self._database.transaction([row.customer]) as connection:
            current = await self._current(connection, row)
            if current != row:
                return current
            buried = await sweeps.bury(connection, row.erasure, day, doomed)
            swept = replace(
                row,
                swept_day=day,
                swept_time=doomed[-1].receive_time,
                record_count=row.record_count + buried,
                object_count=row.object_count + len(names),
            )
            await store.save(connection, swept)
        return swept

    async def _close(self, row: ErasureRow, fence: Fence, day: date, *, whole: bool) -> ErasureRow:
        async with self._database.transaction([row.customer]) as connection:
            current = await self._current(connection, row)
            if current != row:
                return current
            await locks.day_for_erasing(connection, day)
            chosen = await sweeps.sessions_page(connection, day, fence, self._page, whole=whole)
            closed = await sweeps.close(connection, row.erasure, day, chosen)
            swept = replace(
                _finished(row, day) if len(chosen) < self._page else row,
                record_count=row.record_count + closed.records,
                session_count=row.session_count + closed.sessions,
                object_count=row.object_count + closed.objects,
            )
            await store.save(connection, swept)
        return swept

    async def _end(self, row: ErasureRow) -> ErasureRow:
        now = self._clock.now()
        final = max(row.final_time or now, now)
        ended = replace(row, step=Step.FENCED, days_done=row.days_total, erase_time=now, final_time=final)
        return await self._note(row, ended)

    async def _note(self, row: ErasureRow, changed: ErasureRow) -> ErasureRow:
        async with self._database.transaction([row.customer]) as connection:
            current = await self._current(connection, row)
            if current == row:
                current = changed
                await store.save(connection, current)
        return current

    async def _current(self, connection: AsyncConnection, row: ErasureRow) -> ErasureRow:
        """The erasure as it stands, locked: another replica may have carried it on."""
        await locks.request(connection, row.customer, row.erasure)
        current = await store.find(connection, row.customer, row.erasure)
        if current is None:
            raise RuntimeError("the intent of an erasure is gone")
        return current


def _finished(row: ErasureRow, day: date) -> ErasureRow:
    """The row once the day is swept; `swept_time` is unset then."""
    return replace(row, swept_day=day, swept_time=None, days_done=(row.days_done or 0) + 1)
