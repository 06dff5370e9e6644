"""SQL of deliveries and of their counts. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from idv.notice.v1 import customers_pb2 as pb
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.tables import SKEW, audiences, deliveries, versions

_ENROLL = text("SELECT pg_advisory_xact_lock_shared(hashtext('notice.audience'))")
_FIX = text("SELECT pg_advisory_xact_lock(hashtext('notice.audience'))")
_SOME = text(
    "WITH made AS (INSERT INTO notice.deliveries"
    " (version, tenant, state, audience, held, attempts, create_time, state_time, due_time, set_time)"
    " SELECT :version, tenant, 1, true, true, 0, :now, :now, :now, :now FROM notice.customer_ids"
    "  WHERE tenant > :after AND NOT offboarded ORDER BY tenant LIMIT :limit RETURNING tenant)"
    " SELECT count(*), max(tenant) FROM made"
)
_AT_ONCE = 50_000
"""Deliveries made by one statement: with any number of Customers none takes longer than a statement may."""
_TAKE = text(
    "WITH due AS MATERIALIZED (SELECT version, tenant FROM notice.deliveries"
    "  WHERE version = :version AND due_time IS NOT NULL AND (due_time <= :now OR set_time > :ahead)"
    "  ORDER BY due_time LIMIT :limit FOR UPDATE SKIP LOCKED)"
    " UPDATE notice.deliveries AS d SET due_time = :until, set_time = :now, attempts = d.attempts + 1"
    " FROM due WHERE d.version = due.version AND d.tenant = due.tenant"
    " RETURNING d.version, d.tenant, d.attempts, d.create_time"
)
_END = text(
    "WITH ended AS (SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:states AS smallint[]),"
    "  CAST(:dues AS timestamptz[])) AS e (tenant, state, due_time)),"
    " before AS MATERIALIZED (SELECT tenant, deliveries.state, held FROM notice.deliveries"
    "  JOIN ended e USING (tenant) WHERE version = :version"
    "  AND deliveries.state = ANY (CAST(:from AS smallint[]))"
    "  ORDER BY tenant FOR UPDATE OF deliveries)"
    " UPDATE notice.deliveries AS d SET state = e.state, due_time = e.due_time, set_time = :now,"
    "  state_time = CASE WHEN e.state = d.state THEN d.state_time ELSE :now END,"
    "  held = d.held AND NOT e.state = ANY (CAST(:final AS smallint[]))"
    " FROM ended e, before b WHERE d.version = :version AND d.tenant = e.tenant AND b.tenant = e.tenant"
    " RETURNING d.tenant, b.state AS was, d.state, b.held AND NOT d.held AS released"
)

FINAL = (
    pb.DELIVERY_STATE_ACCEPTED,
    pb.DELIVERY_STATE_BOUNCED,
    pb.DELIVERY_STATE_COVERED_BY_WEBSITE,
)
"""States that the gate waits for no longer: mail that failed for good still waits for the website."""

_COLUMN = {
    pb.DELIVERY_STATE_QUEUED: "queued",
    pb.DELIVERY_STATE_ACCEPTED: "accepted",
    pb.DELIVERY_STATE_BOUNCED: "bounced",
    pb.DELIVERY_STATE_FAILED: "failed",
    pb.DELIVERY_STATE_COVERED_BY_WEBSITE: "covered",
}


@dataclass(frozen=True, slots=True)
class Audience:
    """The counts of one version; see `tables.audiences` for each field."""

    version: int
    audience: int
    held: int
    queued: int
    accepted: int
    bounced: int
    failed: int
    covered: int
    told_accepted: int
    told_covered: int
    complete_time: datetime | None
    pause_time: datetime | None
    website_time: datetime | None
    pace_time: datetime
    pace_queued: int


class Taken(NamedTuple):
    """A delivery to be sent."""

    version: int
    tenant: str
    attempts: int
    create_time: datetime


class Change(NamedTuple):
    """The new state of a delivery; `due_time` while it is queued."""

    tenant: str
    state: pb.DeliveryState.ValueType
    due_time: datetime | None = None


class Changed(NamedTuple):
    """What became of a delivery."""

    tenant: str
    was: pb.DeliveryState.ValueType
    state: pb.DeliveryState.ValueType
    released: bool
    """Whether the gate waited for it, and no longer does."""


async def enroll_lock(connection: AsyncConnection) -> None:
    """Holds announcements back until the transaction ends: who registers is told of them, or is in them."""
    await connection.execute(_ENROLL)


async def fix_audience(connection: AsyncConnection, version: int, now: datetime) -> int:
    """A delivery for every Customer that was not off-boarded, and how many those are."""
    await connection.execute(_FIX)
    count, made, after = 0, _AT_ONCE, ""
    while made == _AT_ONCE:
        some = {"version": version, "now": now, "after": after, "limit": _AT_ONCE}
        made, after = (await connection.execute(_SOME, some)).one()
        count += made
    counts = dict.fromkeys(("accepted", "bounced", "failed", "covered", "told_accepted", "told_covered"), 0)
    values = counts | {"version": version, "audience": count, "held": count, "queued": count}
    values |= {"pace_queued": count}
    await connection.execute(insert(audiences).values(**values, pace_time=now))
    return count


async def enroll(connection: AsyncConnection, version: int, tenants: Sequence[str], now: datetime) -> None:
    """Deliveries for Customers who join after the announcement; the gate does not wait for them."""
    row: dict[str, Any] = {"version": version, "state": pb.DELIVERY_STATE_QUEUED}
    row |= {"audience": False, "held": False}
    row |= {"attempts": 0, "create_time": now, "state_time": now, "due_time": now, "set_time": now}
    await connection.execute(insert(deliveries), [row | {"tenant": tenant} for tenant in sorted(tenants)])
    await _count(connection, version, {"queued": len(tenants), "pace_queued": len(tenants)})


async def audience(connection: AsyncConnection, version: int, *, lock: bool = False) -> Audience | None:
    """The counts of a version. `lock` puts whatever ends deliveries of it in order, in every replica."""
    query = select(audiences).where(audiences.c.version == version)
    if lock:
        query = query.with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Audience(**row._mapping)


async def being_told(connection: AsyncConnection) -> list[int]:
    """Versions that mail is to be sent of now: not paused, not withdrawn."""
    query = select(audiences.c.version).join(versions, versions.c.number == audiences.c.version)
    query = query.where(audiences.c.pause_time.is_(None), versions.c.withdraw_time.is_(None))
    return list((await connection.execute(query.where(audiences.c.queued > 0))).scalars())


async def take(
    connection: AsyncConnection, version: int, now: datetime, until: datetime, limit: int
) -> list[Taken]:
    """Takes deliveries that are due, the longest due first; nobody else takes them before `until`.

    What was decided in the future comes from a clock that was set back since: it is due.
    """
    values = {"version": version, "now": now, "until": until, "limit": limit, "ahead": now + SKEW}
    return [Taken(*row) for row in await connection.execute(_TAKE, values)]


async def put_back(connection: AsyncConnection, version: int, tenant: str, due: datetime) -> None:
    """Gives back a delivery that was taken and not tried."""
    mine = (deliveries.c.version == version) & (deliveries.c.tenant == tenant)
    given = update(deliveries).where(mine, deliveries.c.due_time.is_not(None))
    await connection.execute(given.values(due_time=due, attempts=deliveries.c.attempts - 1))


async def change(
    connection: AsyncConnection,
    version: int,
    changes: Sequence[Change],
    now: datetime,
    *,
    only_from: Sequence[pb.DeliveryState.ValueType],
) -> list[Changed]:
    """Changes deliveries that are in one of the states `only_from`, and the counts with them.

    Needs the lock of `audience`. A delivery that the gate no longer waits for is never waited for again.
    """
    values = {
        "version": version,
        "tenants": [one.tenant for one in changes],
        "states": [int(one.state) for one in changes],
        "dues": [one.due_time for one in changes],
        "from": [int(state) for state in only_from],
        "final": [int(state) for state in FINAL],
        "now": now,
    }
    changed = [Changed(*row) for row in await connection.execute(_END, values)]
    deltas: dict[str, int] = {}
    for one in changed:
        if one.was != one.state:
            _add(deltas, _COLUMN[one.was], -1)
            _add(deltas, _COLUMN[one.state], 1)
        if one.released:
            accepted = one.state == pb.DELIVERY_STATE_ACCEPTED
            _add(deltas, "held", -1)
            _add(deltas, "told_accepted" if accepted else "told_covered", 1)
    await _count(connection, version, deltas)
    return changed


async def restart(connection: AsyncConnection, version: int, tenant: str, now: datetime) -> None:
    """Counts the time and the attempts of a queued delivery anew: it goes to another address."""
    mine = (deliveries.c.version == version) & (deliveries.c.tenant == tenant)
    queued = update(deliveries).where(mine, deliveries.c.state == pb.DELIVERY_STATE_QUEUED)
    await connection.execute(queued.values(create_time=now, attempts=0, due_time=now, set_time=now))


async def set_times(connection: AsyncConnection, version: int, **times: Any) -> None:
    """Stores instants of a version's delivery, by column; `pace_queued` goes with `pace_time`."""
    await connection.execute(update(audiences).where(audiences.c.version == version).values(**times))


async def failed(connection: AsyncConnection, version: int, limit: int) -> list[str]:
    """Customers whose mail failed for good, and whom the website does not cover yet."""
    query = select(deliveries.c.tenant).where(
        deliveries.c.version == version, deliveries.c.state == pb.DELIVERY_STATE_FAILED
    )
    return list((await connection.execute(query.limit(limit))).scalars())


def _add(deltas: dict[str, int], name: str, count: int) -> None:
    deltas[name] = deltas.get(name, 0) + count


async def _count(connection: AsyncConnection, version: int, deltas: dict[str, int]) -> None:
    values = {name: audiences.c[name] + count for name, count in deltas.items() if count}
    if values:
        await connection.execute(update(audiences).where(audiences.c.version == version).values(values))
