"""How far the delivery of a version is; its pause; and the gate opened by an approver."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from idv.errors import IdvError, Reason
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice import errors
from services.notice import store as versions_store
from services.notice.accounts.accounts import TenantTransactions
from services.notice.delivery import acknowledgement_store, evidence_store, gate, store
from services.notice.delivery.acknowledgement_store import Acknowledgement
from services.notice.delivery.evidence_store import Delivery
from services.notice.delivery.store import Audience
from services.notice.versions import Call
from services.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Progress:
    """The counts of a version at an instant."""

    counts: Audience
    clear_time: datetime | None
    now: datetime

    @property
    def estimated_end(self) -> datetime | None:
        """When the queue will have been tried once at the pace since the last pause; None: unknown."""
        counts = self.counts
        done, elapsed = counts.pace_queued - counts.queued, self.now - counts.pace_time
        if counts.pause_time is not None or counts.queued == 0 or done <= 0 or elapsed <= timedelta(0):
            return None
        return self.now + elapsed * (counts.queued / done)


class Deliveries:
    """The operations on deliveries of a version; each opens its own transaction."""

    def __init__(self, database: TenantTransactions, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def progress(self, version: int) -> Progress:
        """The counts. Raises NOT_FOUND for a version that nobody is told of."""
        async with self._database.transaction() as connection:
            return await self._progress(connection, version)

    async def pause(self, version: int, reason: str, call: Call) -> Progress:
        """Sends nothing more of a version until it is resumed. Raises NOT_FOUND."""

        async def change(connection: AsyncConnection, counts: Audience, now: datetime) -> None:
            if counts.pause_time is None:
                await store.set_times(connection, version, pause_time=now)
                await versions_store.append_change(connection, version, "paused", now, call.actor, reason)

        return await self._change(version, call, change)

    async def resume(self, version: int, call: Call) -> Progress:
        """Sends again. Raises NOT_FOUND."""

        async def change(connection: AsyncConnection, counts: Audience, now: datetime) -> None:
            if counts.pause_time is not None:
                times = {"pause_time": None, "pace_time": now, "pace_queued": counts.queued}
                await store.set_times(connection, version, **times)
                await versions_store.append_change(connection, version, "resumed", now, call.actor)

        return await self._change(version, call, change)

    async def override(self, version: int, reason: str, call: Call) -> Progress:
        """Opens the gate although it still waits, for a reason. Raises NOT_FOUND or WRONG_STATE."""

        async def change(connection: AsyncConnection, counts: Audience, now: datetime) -> None:
            if counts.complete_time is not None:
                raise IdvError(
                    Reason.ERROR_REASON_WRONG_STATE,
                    f"the gate of notices/{version} is clear already",
                    remedy="nothing is left to be done: the version is in force at its instant",
                )
            await gate.override(connection, version, now, call.actor, reason)

        return await self._change(version, call, change)

    async def deliveries(self, version: int, after: str, limit: int) -> list[Delivery]:
        """Deliveries by Customer, from the one after `after` on, with what explains them."""
        async with self._database.transaction() as connection:
            tenants = await evidence_store.tenants_after(connection, version, after, limit)
        if not tenants:
            return []
        async with self._database.transaction(tenants) as connection:
            return await evidence_store.of_version(connection, version, tenants)

    async def acknowledge(self, new: Acknowledgement) -> tuple[datetime, bool]:
        """Records who has seen or accepted a version; when first, and whether that is now.

        Raises NOT_FOUND for a version that is not announced.
        """
        async with self._database.transaction([new.tenant]) as connection:
            versions = await versions_store.all_versions(connection)
            life = next((one.life for one in versions if one.number == new.version), None)
            if life is None or life.announce_time is None or life.withdraw_time is not None:
                raise errors.not_found(new.version)
            return await acknowledgement_store.add(connection, new)

    async def acknowledgements(self, version: int, tenants: list[str]) -> list[Acknowledgement]:
        """The acknowledgements of a version by these Customers."""
        async with self._database.transaction(tenants) as connection:
            return await acknowledgement_store.of_version(connection, version, tenants)

    async def _progress(self, connection: AsyncConnection, version: int) -> Progress:
        counts = await store.audience(connection, version)
        if counts is None:
            raise _nobody(version)
        versions = await versions_store.all_versions(connection)
        clear = next(one.life.clear_time for one in versions if one.number == version)
        return Progress(counts, clear, self._clock.now())

    async def _change(
        self,
        version: int,
        call: Call,
        change: Callable[[AsyncConnection, Audience, datetime], Awaitable[None]],
    ) -> Progress:
        """Runs one change, once for its request id. Counts are locked before versions, as everywhere."""
        async with self._database.transaction() as connection:
            counts = await store.audience(connection, version, lock=True)
            if counts is None:
                raise _nobody(version)
            await versions_store.lock(connection)
            known = await versions_store.answered(connection, call.request_id)
            if known is None:
                await change(connection, counts, self._clock.now())
                await versions_store.remember(connection, call.request_id, call.fingerprint, version)
            elif known[1] != call.fingerprint:
                raise errors.reused()
            return await self._progress(connection, version)


def _nobody(version: int) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_NOT_FOUND,
        f"nobody is told of notices/{version}: it is not announced, or not material",
        field="version",
        remedy="list the notices",
    )
