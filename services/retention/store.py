"""SQL of deletions, of what is left to do about them, and of the feeds' cursors. Nothing here commits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from idv.retention.v1.deletions_pb2 import DeletionState
from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.tables import SKEW, cursors, deletion_work, deletions


@dataclass(frozen=True)
class Deletion:
    """A deletion as it is stored; see `tables.deletions` for each field."""

    tenant: str
    deletion: UUID
    request_id: UUID
    request_digest: bytes | None
    scope: str
    state: DeletionState.ValueType
    receive_time: datetime
    sealed_target: bytes | None = None
    complete_time: datetime | None = None
    final_time: datetime | None = None
    record_count: int | None = None
    session_count: int | None = None
    leaf_index: int | None = None
    receipt: str | None = None
    sealed_receipt: bytes | None = field(default=None, repr=False)
    failure: str | None = None
    progress_done: int | None = None
    progress_total: int | None = None
    outcomes: list[dict[str, Any]] | None = None
    mail_state: int | None = None
    webhook_state: int | None = None


class Work(NamedTuple):
    """A deletion with something left to do, and how often it was tried."""

    tenant: str
    deletion: UUID
    attempts: int


async def add_deletion(connection: AsyncConnection, new: Deletion) -> bool:
    """Stores a deletion unless its Customer used the request id before; says whether it did.

    Waits for a concurrent one of the same request id to commit or fail.
    """
    statement = upsert(deletions).values(vars(new)).on_conflict_do_nothing().returning(deletions.c.deletion)
    return (await connection.execute(statement)).one_or_none() is not None


async def deletion_by_request(connection: AsyncConnection, tenant: str, request_id: UUID) -> Deletion | None:
    """The Customer's deletion of that request id."""
    query = select(deletions).where(deletions.c.tenant == tenant, deletions.c.request_id == request_id)
    return _deletion((await connection.execute(query)).one_or_none())


async def deletion(
    connection: AsyncConnection, tenant: str, name: UUID, *, lock: bool = False
) -> Deletion | None:
    """A deletion by id; `lock` keeps other transactions from changing it until this one ends."""
    query = select(deletions).where(deletions.c.tenant == tenant, deletions.c.deletion == name)
    if lock:
        query = query.with_for_update()
    return _deletion((await connection.execute(query)).one_or_none())


async def list_deletions(
    connection: AsyncConnection, tenant: str, limit: int, before: UUID | None
) -> list[Deletion]:
    """The Customer's deletions, the newest first, from the one after `before` on."""
    query = select(deletions).where(deletions.c.tenant == tenant)
    if before is not None:
        query = query.where(deletions.c.deletion < before)
    rows = await connection.execute(query.order_by(deletions.c.deletion.desc()).limit(limit))
    return [Deletion(**row._mapping) for row in rows]


async def change_deletion(connection: AsyncConnection, changed: Deletion, **values: Any) -> None:
    """Sets columns of a deletion that this transaction holds locked."""
    of_it = (deletions.c.tenant == changed.tenant, deletions.c.deletion == changed.deletion)
    await connection.execute(update(deletions).where(*of_it).values(values))


async def remove_deletion(connection: AsyncConnection, ended: Deletion) -> None:
    """Removes a deletion whose evidence is past its term, and the rest of its work."""
    of_it = (deletions.c.tenant == ended.tenant, deletions.c.deletion == ended.deletion)
    await connection.execute(delete(deletions).where(*of_it))
    await connection.execute(delete(deletion_work).where(deletion_work.c.deletion == ended.deletion))


async def add_work(
    connection: AsyncConnection, tenant: str, name: UUID, now: datetime, due_time: datetime
) -> None:
    """Notes at `now` that the deletion is to be looked at from `due_time` on."""
    row = {"tenant": tenant, "deletion": name, "due_time": due_time, "set_time": now, "attempts": 0}
    await connection.execute(insert(deletion_work).values(row))


async def postpone_work(connection: AsyncConnection, name: UUID, now: datetime, due_time: datetime) -> None:
    """Decides at `now` that the deletion is to be looked at from `due_time` on, and not before."""
    of_it = deletion_work.c.deletion == name
    await connection.execute(update(deletion_work).where(of_it).values(due_time=due_time, set_time=now))


async def take_work(connection: AsyncConnection, now: datetime, until: datetime) -> Work | None:
    """Takes a deletion that is due, the longest due first; nobody else takes it before `until`.

    What was decided in the future comes from a clock that was set back since: it is due.
    """
    from_ahead = deletion_work.c.set_time > now + SKEW
    due = select(deletion_work.c.deletion).where(or_(deletion_work.c.due_time <= now, from_ahead))
    due = due.order_by(deletion_work.c.due_time).limit(1).with_for_update(skip_locked=True)
    taken = (
        update(deletion_work)
        .where(deletion_work.c.deletion == due.scalar_subquery())
        .values(due_time=until, set_time=now, attempts=deletion_work.c.attempts + 1)
        .returning(deletion_work.c.tenant, deletion_work.c.deletion, deletion_work.c.attempts)
    )
    row = (await connection.execute(taken)).one_or_none()
    return None if row is None else Work(*row)


async def cursor(connection: AsyncConnection, name: str, *, lock: bool = False) -> int:
    """How far the feed was logged, 0 at first; `lock` keeps other transactions from moving it meanwhile."""
    if lock:
        await connection.execute(upsert(cursors).values(name=name, position=0).on_conflict_do_nothing())
    query = select(cursors.c.position).where(cursors.c.name == name)
    if lock:
        query = query.with_for_update()
    return (await connection.execute(query)).scalar_one_or_none() or 0


async def move_cursor(connection: AsyncConnection, name: str, position: int) -> None:
    """The feed is logged up to `position`."""
    await connection.execute(update(cursors).where(cursors.c.name == name).values(position=position))


def _deletion(row: Row[Any] | None) -> Deletion | None:
    return None if row is None else Deletion(**row._mapping)
