"""Root keys, sealed, and what was destroyed at the end of its term."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Date, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.epochs import Epoch
from services.storage.store import locks
from services.storage.tables import days, destructions, root_keys

_SEALED = "SELECT day, slot, version, sealed FROM root_keys WHERE day = ANY ($1) AND sealed IS NOT NULL"


class Root(NamedTuple):
    """A root key as it rests: its sealing key's version and the sealed bytes, or when it was destroyed."""

    version: int
    sealed: bytes | None
    destroy_time: datetime | None


class LiveRoot(NamedTuple):
    """A root key that exists, and the term of its day where that is fixed."""

    epoch: Epoch
    retention_days: int | None


class Destruction(NamedTuple):
    """One destruction, see `idv.storage.v1.Destruction`."""

    sequence: int
    kind: int
    day: date
    slot: int
    due_time: datetime
    destroy_time: datetime
    record_count: int


async def find_root(connection: AsyncConnection, epoch: Epoch) -> Root | None:
    """The epoch's root key, if it was ever made."""
    query = select(root_keys.c.version, root_keys.c.sealed, root_keys.c.destroy_time)
    row = (await connection.execute(query.where(_is(epoch)))).one_or_none()
    return Root(*row) if row else None


async def find_sealed(driver: Any, among: Collection[date]) -> dict[Epoch, tuple[int, bytes]]:
    """Version and sealed bytes of every root key of these days that still has them.

    On the driver's own connection: a destruction waits for this one statement, which needs no transaction.
    """
    rows = await driver.fetch(_SEALED, list(among))
    return {Epoch(day, slot): (version, sealed) for day, slot, version, sealed in rows}


async def newest_version(connection: AsyncConnection) -> int:
    """The greatest version that ever sealed a root key; 0 when none did."""
    return int(await connection.scalar(select(func.coalesce(func.max(root_keys.c.version), 0))) or 0)


async def list_destroyed(connection: AsyncConnection) -> list[Epoch]:
    """The epochs whose root key was destroyed, ever."""
    query = select(root_keys.c.day, root_keys.c.slot).where(root_keys.c.destroy_time.is_not(None))
    return [Epoch(row.day, row.slot) for row in await connection.execute(query)]


async def add_root(connection: AsyncConnection, epoch: Epoch, version: int, sealed: bytes) -> None:
    """Adds the epoch's root key."""
    values = {"day": epoch.day, "slot": epoch.slot, "version": version, "sealed": sealed}
    await connection.execute(insert(root_keys).values(values))


async def list_live_roots(connection: AsyncConnection, until: date) -> list[LiveRoot]:
    """Root keys of days up to this one that are not destroyed yet, oldest first."""
    query = (
        select(root_keys.c.day, root_keys.c.slot, days.c.retention_days)
        .join_from(root_keys, days, root_keys.c.day == days.c.day, isouter=True)
        .where(root_keys.c.destroy_time.is_(None), root_keys.c.day <= bindparam("until", type_=Date))
        .order_by(root_keys.c.day, root_keys.c.slot)
    )
    rows = await connection.execute(query, {"until": until})
    return [LiveRoot(Epoch(row.day, row.slot), row.retention_days) for row in rows]


async def mark_destroyed(connection: AsyncConnection, epoch: Epoch, when: datetime) -> bool:
    """Notes the root key's destruction and drops its sealed bytes; False when another replica did."""
    live = _is(epoch) & root_keys.c.destroy_time.is_(None)
    result = await connection.execute(update(root_keys).where(live).values(destroy_time=when, sealed=None))
    return result.rowcount == 1


async def add_destruction(
    connection: AsyncConnection, kind: int, epoch: Epoch, due: datetime, done: datetime, records: int
) -> None:
    """Appends a destruction under the next number; nothing when it is there already."""
    await locks.destruction_order(connection)
    last = await connection.scalar(select(func.coalesce(func.max(destructions.c.sequence), 0)))
    values = Destruction(int(last or 0) + 1, kind, epoch.day, epoch.slot, due, done, records)
    await connection.execute(insert(destructions).values(values._asdict()).on_conflict_do_nothing())


async def count_destroyed(connection: AsyncConnection, day: date) -> int:
    """How many records the destroyed root keys of a day concerned."""
    total = select(func.coalesce(func.sum(destructions.c.record_count), 0)).where(destructions.c.day == day)
    return int(await connection.scalar(total) or 0)


async def list_destructions(connection: AsyncConnection, after: int, limit: int) -> list[Destruction]:
    """Destructions after a number, in order."""
    query = select(destructions).where(destructions.c.sequence > after)
    rows = await connection.execute(query.order_by(destructions.c.sequence).limit(limit))
    return [Destruction(*row) for row in rows]


def _is(epoch: Epoch) -> ColumnElement[bool]:
    return (root_keys.c.day == epoch.day) & (root_keys.c.slot == epoch.slot)
