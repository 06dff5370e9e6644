"""Erasure: from a Customer's request to the proof that no read path answers, each step repeatable after a
crash.

The intent is committed first. Then the fence: under the exclusive lock of each day, so that no write can slip
past, sessions close for good and records refuse to be read. Then every object version goes, then every sealed
byte of the rows, whose tombstones stay to refuse late repeats. Then the read paths are probed, and the result
is kept. Of a wide scope there may be more than one transaction should hold: see `sweeping`.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import groupby
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.resources import parse_customer
from services.storage.associated import Binding
from services.storage.days import Days
from services.storage.epochs import Epoch
from services.storage.keys import Keyring
from services.storage.objects import Objects
from services.storage.scopes import scope_of
from services.storage.store import days as day_store
from services.storage.store import erasures as store
from services.storage.store import locks
from services.storage.store.erasures import ErasureRow, Step
from services.storage.sweeping import Sweeping
from services.storage.targets import Targets
from services.storage.tenants import tenant_groups
from services.storage.thorough import for_each

_KIND = "erasure"


class Erasure:
    """Carries out erasures. Any replica may take any erasure on from where it stands."""

    def __init__(
        self,
        database: Database,
        keys: Keyring,
        days: Days,
        objects: Objects,
        targets: Targets,
        sweeping: Sweeping,
        clock: Clock,
        *,
        seconds: float,
    ) -> None:
        self._database, self._keys, self._days, self._objects = database, keys, days, objects
        self._targets, self._sweeping, self._clock, self._seconds = targets, sweeping, clock, seconds

    async def erase(self, request: storage_pb2.EraseRecordsRequest) -> ErasureRow:
        """Erases and returns the result; a repeat returns the first one.

        A call takes some seconds at most of a wide scope: then everything is unreadable already, the row says
        how far it is, and a repeat or the job goes on. Raises REQUEST_ID_REUSED for another target,
        NOT_FOUND or WRONG_TENANT for a record or session that is not the Customer's, UNAVAILABLE when a store
        is away: the intent stands.
        """
        customer = parse_customer(request.parent, field="parent")
        self._targets.check(customer, request.target)
        erasure = UUID(request.request_id)
        row = await self.intend(customer, erasure, request.target, begun_only=request.begun_only)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        while row.step < Step.DONE:
            row = await self.advance(row)
            if row.days_total is not None and loop.time() >= until:
                break
        return row

    async def finish(self, row: ErasureRow) -> ErasureRow:
        """Does every step that is left."""
        while row.step < Step.DONE:
            row = await self.advance(row)
        return row

    async def resume(self) -> None:
        """Finishes the erasures that a crash interrupted."""
        unfinished: list[ErasureRow] = []
        for group in await tenant_groups(self._database):
            async with self._database.transaction(group) as connection:
                unfinished += await store.list_unfinished(connection)
        await for_each(unfinished, self.finish)

    async def intend(
        self, customer: str, erasure: UUID, target: storage_pb2.ErasureTarget, *, begun_only: bool = False
    ) -> ErasureRow:
        """Commits the intent, or finds the one that stands under the request id; raises REQUEST_ID_REUSED.

        With `begun_only` a new one is done as it is committed, of nothing: it keeps the id from being used.
        """
        now = self._clock.now()
        content = target.SerializeToString(deterministic=True)
        await self._days.ready(now.date())
        fresh = await self._seal(customer, erasure, content, now)
        if begun_only:
            fresh = replace(fresh, step=Step.DONE, details=None, erase_time=now, final_time=now)
        async with self._database.transaction([customer]) as connection:
            await locks.request(connection, customer, erasure)
            first = await store.find(connection, customer, erasure)
            if first is None:
                if not begun_only:
                    await self._targets.require(connection, target)
                await day_store.add_tenant(connection, customer)
                await store.add(connection, fresh)
        if first is None:
            return fresh
        day_key = await self._keys.day_key(first.day)
        if not hmac.compare_digest(first.request_mac, day_key.content(customer, content)):
            raise IdvError(
                Reason.ERROR_REASON_REQUEST_ID_REUSED,
                "the request id was used before for an erasure of something else",
                field="request_id",
                remedy="use a new UUID for each new erasure",
            )
        return first

    async def drafted(self, customer: str, erasure: UUID, target: storage_pb2.ErasureTarget) -> ErasureRow:
        """The intent of an erasure that begins now, for whoever commits it together with something else."""
        now = self._clock.now()
        await self._days.ready(now.date())
        return await self._seal(customer, erasure, target.SerializeToString(deterministic=True), now)

    async def advance(self, row: ErasureRow) -> ErasureRow:
        """Does the next step and notes it; doing it twice is as good as once."""
        step = {
            Step.INTENDED: self._fence,
            Step.FENCED: self._unlink,
            Step.UNLINKED: self._bury,
            Step.BURIED: self._probe,
        }[Step(row.step)]
        return await step(row)

    async def _fence(self, row: ErasureRow) -> ErasureRow:
        target = await self._target(row)
        scope = scope_of(row.customer, target, row.request_time)
        if scope is not None:
            return await self._sweeping.advance(row, scope)
        chosen = await self._targets.days(row.customer, target)
        terms = {day.day: await self._days.term(day.day) for day in chosen}
        records = sessions = objects = 0
        final: datetime | None = None
        async with self._database.transaction([row.customer]) as connection:
            current = await self._current(connection, row)
            if current.step != row.step:
                return current
            for day in chosen:
                await locks.day_for_erasing(connection, day.day)
            for day in chosen:
                newest = await self._targets.fence(connection, row, day)
                touched = await store.touched(connection, row.erasure, day.day)
                records += touched.records
                sessions += touched.sessions
                objects += touched.objects
                if newest is not None:
                    due = Epoch.of(day.day, newest).due(terms[day.day])
                    final = max(final or due, due)
            erased = self._clock.now()
            row = replace(
                *(row,),
                step=Step.FENCED,
                record_count=records,
                session_count=sessions,
                object_count=objects,
                erase_time=erased,
                final_time=max(final or erased, erased),
            )
            await store.save(connection, row)
        return row

    async def _unlink(self, row: ErasureRow) -> ErasureRow:
        async with self._database.transaction([row.customer]) as connection:
            found = sorted(await store.list_objects(connection, row.erasure, await self._existing_days()))
        for day, group in groupby(found, key=lambda each: each[0]):
            names = [name for _, name in group]
            await self._objects.delete(day, names)
            for name in names:
                if await self._objects.exists(day, name):
                    raise IdvError(
                        Reason.ERROR_REASON_UNAVAILABLE, "an erased object is still there", retry_after=5.0
                    )
        return await self._note(row, Step.UNLINKED)

    async def _bury(self, row: ErasureRow) -> ErasureRow:
        days = await self._existing_days()
        async with self._database.transaction([row.customer]) as connection:
            await store.bury(connection, row.erasure, days)
        return await self._note(row, Step.BURIED)

    async def _probe(self, row: ErasureRow) -> ErasureRow:
        """Looks at what is left as a reader would; anything sealed means that the erasure is not done."""
        days = await self._existing_days()
        async with self._database.transaction([row.customer]) as connection:
            left = await store.count_left(connection, row.erasure, days)
        if left:
            raise RuntimeError(f"{left} erased rows still hold sealed data")
        return await self._note(row, Step.DONE)

    async def _note(self, row: ErasureRow, step: Step) -> ErasureRow:
        async with self._database.transaction([row.customer]) as connection:
            current = await self._current(connection, row)
            if current.step == row.step:
                # Of the target nothing is needed any more: a repeat is compared by its keyed digest.
                current = replace(row, step=step, details=None if step == Step.DONE else row.details)
                await store.save(connection, current)
        return current

    async def _current(self, connection: AsyncConnection, row: ErasureRow) -> ErasureRow:
        """The erasure as it stands, locked: another replica may have carried it on."""
        await locks.request(connection, row.customer, row.erasure)
        current = await store.find(connection, row.customer, row.erasure)
        if current is None:
            raise RuntimeError("the intent of an erasure is gone")
        return current

    async def _existing_days(self) -> Sequence[date]:
        return [day.day for day in await self._days.listed()]

    async def _seal(self, customer: str, erasure: UUID, content: bytes, now: datetime) -> ErasureRow:
        epoch = Epoch.of(now.date(), now)
        keys = await self._keys.sealing(epoch, _KIND, customer, erasure)
        day_key = await self._keys.day_key(now.date())
        return ErasureRow(
            day=now.date(),
            customer=customer,
            erasure=erasure,
            request_mac=day_key.content(customer, content),
            request_time=now,
            step=Step.INTENDED,
            commitment=keys.commitment,
            details=keys.seal_details(content, self._bound(customer, erasure, epoch)),
        )

    async def _target(self, row: ErasureRow) -> storage_pb2.ErasureTarget:
        epoch = Epoch.of(row.day, row.request_time)
        keys = await self._keys.opening(epoch, _KIND, row.customer, row.erasure)
        keys.commits_to(row.commitment)
        if row.details is None:
            raise RuntimeError("an erasure that is done has no target any more")
        content = keys.open_details(row.details, self._bound(row.customer, row.erasure, epoch))
        return storage_pb2.ErasureTarget.FromString(content)

    def _bound(self, customer: str, erasure: UUID, epoch: Epoch) -> bytes:
        return Binding(self._targets.deployment, customer, "", str(erasure), _KIND, 0, epoch).encode()
