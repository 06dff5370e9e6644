"""SQL of acknowledgements. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from idv.notice.v1 import customers_pb2, deliveries_pb2
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.tables import acknowledgements


class Acknowledgement(NamedTuple):
    """Who has seen or accepted which version, how that came, and when first."""

    tenant: str
    version: int
    kind: customers_pb2.AcknowledgementKind.ValueType
    channel: deliveries_pb2.AcknowledgementChannel.ValueType
    acknowledge_time: datetime


async def add_all(connection: AsyncConnection, new: Sequence[Acknowledgement]) -> int:
    """Records acknowledgements unless they are there, and returns how many were not."""
    added = upsert(acknowledgements).on_conflict_do_nothing()
    rows = [one._asdict() for one in sorted(new)]
    return (await connection.execute(added.values(rows))).rowcount


async def add(connection: AsyncConnection, new: Acknowledgement) -> tuple[datetime, bool]:
    """Records an acknowledgement unless it is there; when it was first recorded, and whether that is now."""
    if await add_all(connection, [new]):
        return new.acknowledge_time, True
    query = select(acknowledgements.c.acknowledge_time).where(
        acknowledgements.c.tenant == new.tenant,
        acknowledgements.c.version == new.version,
        acknowledgements.c.kind == new.kind,
    )
    first: datetime = (await connection.execute(query)).scalar_one()
    return first, False


async def by_registering(connection: AsyncConnection, tenant: str) -> int | None:
    """The newest version that a Customer accepted by registering; None where none was upcoming then."""
    query = select(func.max(acknowledgements.c.version)).where(
        acknowledgements.c.tenant == tenant,
        acknowledgements.c.channel == deliveries_pb2.ACKNOWLEDGEMENT_CHANNEL_REGISTRATION,
    )
    newest: int | None = await connection.scalar(query)
    return newest


async def of_version(
    connection: AsyncConnection, version: int, tenants: Sequence[str]
) -> list[Acknowledgement]:
    """The acknowledgements of a version by these Customers, by Customer and kind."""
    query = select(*(acknowledgements.c[name] for name in Acknowledgement._fields)).where(
        acknowledgements.c.version == version, acknowledgements.c.tenant.in_(tenants)
    )
    rows = await connection.execute(query.order_by(acknowledgements.c.tenant, acknowledgements.c.kind))
    return [Acknowledgement(*row) for row in rows]
