"""SQL of exports: what each is to hold, what was written, when it is forgotten. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.tables import SKEW, export_rows, export_work, exports

KEPT: Final = timedelta(hours=24)
"""For how long an export can be resumed; then what was kept for that is forgotten."""
PAGE = 500


class Kind(IntEnum):
    """What a row of an export stands for."""

    SUMMARY = 0
    SESSION = 1
    RECORD = 2
    ENTRY = 3


@dataclass(frozen=True)
class Export:
    """An export as it is stored; see `tables.exports`."""

    tenant: str
    request_id: UUID
    request_digest: bytes
    start_time: datetime
    attempt: int
    planned: bool


class Due(NamedTuple):
    """An export that is to be forgotten."""

    tenant: str
    request_id: UUID


async def add(connection: AsyncConnection, new: Export, forget_time: datetime) -> bool:
    """Stores an export unless its request id was used before; says whether it did."""
    statement = upsert(exports).values(vars(new)).on_conflict_do_nothing().returning(exports.c.request_id)
    if (await connection.execute(statement)).one_or_none() is None:
        return False
    row = {"tenant": new.tenant, "request_id": new.request_id, "due_time": forget_time}
    await connection.execute(insert(export_work).values(row))
    return True


async def find(
    connection: AsyncConnection, tenant: str, request_id: UUID, *, lock: bool = False
) -> Export | None:
    """An export; `lock` keeps other transactions from changing it until this one ends."""
    query = select(exports).where(exports.c.tenant == tenant, exports.c.request_id == request_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return Export(**row) if row else None


async def change(connection: AsyncConnection, export: Export, **values: Any) -> None:
    """Sets columns of an export that this transaction holds locked."""
    of_it = (exports.c.tenant == export.tenant, exports.c.request_id == export.request_id)
    await connection.execute(update(exports).where(*of_it).values(values))


async def add_rows(
    connection: AsyncConnection, export: Export, kind: Kind, first: int, sealed: Sequence[bytes]
) -> None:
    """Adds rows of one kind, numbered from `first` on."""
    own = {"tenant": export.tenant, "request_id": export.request_id, "kind": int(kind)}
    rows = [{**own, "number": first + place, "sealed": one} for place, one in enumerate(sealed)]
    if rows:
        await connection.execute(insert(export_rows), rows)


async def rows(connection: AsyncConnection, export: Export, kind: Kind, first: int) -> list[bytes]:
    """At most PAGE rows of one kind, from number `first` on."""
    query = select(export_rows.c.sealed).where(*_of(export), export_rows.c.kind == int(kind))
    query = query.where(export_rows.c.number >= first).order_by(export_rows.c.number).limit(PAGE)
    return list((await connection.execute(query)).scalars())


async def count(connection: AsyncConnection, export: Export, kind: Kind) -> int:
    """How many rows of one kind there are."""
    query = select(func.count()).where(*_of(export), export_rows.c.kind == int(kind))
    return int(await connection.scalar(query) or 0)


async def drop_rows(connection: AsyncConnection, export: Export) -> None:
    """Removes all rows of an export."""
    await connection.execute(delete(export_rows).where(*_of(export)))


async def take_due(connection: AsyncConnection, now: datetime) -> Due | None:
    """Takes an export whose time has come, the longest due first.

    One due later than `KEPT` from now was begun under a clock that was set back since: its time has come.
    """
    come = or_(export_work.c.due_time <= now, export_work.c.due_time > now + KEPT + SKEW)
    due = select(export_work.c.request_id, export_work.c.tenant).where(come)
    due = due.order_by(export_work.c.due_time).limit(1).with_for_update(skip_locked=True)
    row = (await connection.execute(due)).one_or_none()
    return None if row is None else Due(row.tenant, row.request_id)


async def forget(connection: AsyncConnection, due: Due) -> None:
    """Removes an export and all that it kept."""
    for table in (export_rows, exports, export_work):
        of_it = (table.c.tenant == due.tenant, table.c.request_id == due.request_id)
        await connection.execute(delete(table).where(*of_it))


def _of(export: Export) -> tuple[Any, ...]:
    return export_rows.c.tenant == export.tenant, export_rows.c.request_id == export.request_id
