"""The gate of a material version: it comes into force only when everybody in its audience has been told.

The transaction that stores the last final state stores the instant at which the gate clears, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice import announcing, lifecycle
from services.notice import store as versions_store
from services.notice.content import Version
from services.notice.delivery import store
from services.notice.delivery.store import Audience

_ITSELF = "notice"
"""Who changes a version when nobody asks: this service."""


def clears_at(version: Version, previous: Version | None, now: datetime) -> datetime:
    """The instant that is stored when the last final state is: what comes into force by it was not before.

    It lies ahead by what every replica needs to know of it; and where the version changes retention and is
    late, at the next 00:00 UTC, so that a day of data has one term.
    """
    cleared = now + announcing.SETTLE
    effective = version.life.effective_time
    changes = previous is not None and previous.terms.retention_days != version.terms.retention_days
    late = effective is not None and cleared > effective
    if not (changes and late) or lifecycle.is_utc_midnight(cleared):
        return cleared
    tomorrow = cleared.astimezone(UTC).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(0), UTC)


async def look(connection: AsyncConnection, version: int, now: datetime) -> Audience | None:
    """Clears the gate if nothing is left that it waits for. Needs the lock of `store.audience`."""
    counts = await store.audience(connection, version)
    if counts is None or counts.held or counts.complete_time is not None:
        return counts
    await _clear(connection, version, "cleared", now, _ITSELF, None)
    return await store.audience(connection, version)


async def override(connection: AsyncConnection, version: int, now: datetime, actor: str, reason: str) -> None:
    """Clears the gate although it still waits. Needs the lock of `store.audience`."""
    await _clear(connection, version, "overridden", now, actor, reason)


async def _clear(
    connection: AsyncConnection, version: int, kind: str, now: datetime, actor: str, reason: str | None
) -> None:
    await versions_store.lock(connection)
    versions = await versions_store.all_versions(connection)
    it = _one(versions, version)
    await store.set_times(connection, version, complete_time=now)
    if it.life.withdraw_time is None and it.life.clear_time is None:
        instant = clears_at(it, announcing.before(versions, now), now)
        await versions_store.clear(connection, version, instant)
        told = _told(await store.audience(connection, version))
        await versions_store.append_change(connection, version, kind, now, actor, reason, told=told)


def _told(counts: Audience | None) -> dict[str, int] | None:
    """Counts by field of `idv.notice.v1.AudienceTold`."""
    if counts is None:
        return None
    return {
        "audience_count": counts.audience,
        "accepted_count": counts.told_accepted,
        "covered_count": counts.told_covered,
        "waiting_count": counts.held,
    }


def _one(versions: Sequence[Version], number: int) -> Version:
    return next(version for version in versions if version.number == number)
