"""SQL of what explains deliveries. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from idv.notice.v1 import customers_pb2 as pb
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.tables import deliveries, delivery_evidence

_PUT = text(
    "INSERT INTO notice.delivery_evidence (tenant, version, recipient, state, reply, reply_time)"
    " SELECT * FROM unnest(CAST(:tenant AS text[]), CAST(:version AS int[]), CAST(:recipient AS text[]),"
    "  CAST(:state AS smallint[]), CAST(:reply AS text[]), CAST(:reply_time AS timestamptz[]))"
    " ON CONFLICT (tenant, version, recipient) DO UPDATE"
    " SET state = excluded.state, reply = excluded.reply, reply_time = excluded.reply_time"
)

_PACE = text(
    "SELECT count(*) AS mails,"
    "  extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY state_time - create_time)) AS half"
    " FROM notice.deliveries WHERE audience AND state = 2"
    "  AND version = (SELECT max(version) FROM notice.audiences)"
)
_ENOUGH = 100
"""Mails that must have been taken before their pace says anything."""


class Evidence(NamedTuple):
    """The last reply for one address."""

    tenant: str
    version: int
    recipient: str
    state: pb.DeliveryState.ValueType
    reply: str
    reply_time: datetime


class Delivery(NamedTuple):
    """A delivery with what explains it."""

    tenant: str
    state: pb.DeliveryState.ValueType
    audience: bool
    attempts: int
    create_time: datetime
    state_time: datetime
    evidence: Evidence | None


async def put(connection: AsyncConnection, evidence: Sequence[Evidence]) -> None:
    """Stores replies, each in the place of the one before for the same address."""
    if not evidence:
        return
    ordered = sorted(evidence)  # so that two replicas lock the same rows in the same order
    columns = {name: [getattr(one, name) for one in ordered] for name in Evidence._fields}
    await connection.execute(_PUT, columns)


async def last(connection: AsyncConnection, tenant: str, version: int) -> Evidence | None:
    """The newest reply of a delivery."""
    return (await _newest(connection, version, [tenant])).get(tenant)


async def tenants_after(connection: AsyncConnection, version: int, tenant: str, limit: int) -> list[str]:
    """Customers to whom a version is delivered, in their order, from the one after `tenant` on."""
    query = select(deliveries.c.tenant).where(deliveries.c.version == version, deliveries.c.tenant > tenant)
    return list((await connection.execute(query.order_by(deliveries.c.tenant).limit(limit))).scalars())


async def of_version(connection: AsyncConnection, version: int, tenants: Sequence[str]) -> list[Delivery]:
    """Deliveries of a version to these Customers, whose tenants the transaction acts for."""
    evidence = await _newest(connection, version, tenants)
    columns = [deliveries.c[name] for name in Delivery._fields[:-1]]
    query = select(*columns).where(deliveries.c.version == version, deliveries.c.tenant.in_(tenants))
    rows = await connection.execute(query.order_by(deliveries.c.tenant))
    return [Delivery(**row._mapping, evidence=evidence.get(row.tenant)) for row in rows]


async def pace(connection: AsyncConnection) -> float | None:
    """Mails in a second while the faster half of the last version's audience was told; None: too few were.

    The slower half is left out: it waits for mailboxes, not for the sender.
    """
    row = (await connection.execute(_PACE)).one()
    return row.mails / 2 / float(row.half) if row.mails >= _ENOUGH and row.half else None


async def _newest(connection: AsyncConnection, version: int, tenants: Sequence[str]) -> dict[str, Evidence]:
    table = delivery_evidence
    query = select(*(table.c[name] for name in Evidence._fields)).where(
        table.c.tenant.in_(tenants), table.c.version == version
    )
    rows = await connection.execute(query.order_by(table.c.reply_time))
    return {row.tenant: Evidence(*row) for row in rows}
