"""Customers that were closed, and what is forgotten of them then."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import closed_customers, customer_keys, opt_outs


async def close_time(connection: AsyncConnection, customer: str) -> datetime | None:
    """Since when the Customer is closed; None when it is not."""
    query = select(closed_customers.c.close_time).where(closed_customers.c.customer == customer)
    found: datetime | None = await connection.scalar(query)
    return found


async def close(connection: AsyncConnection, customer: str, now: datetime) -> None:
    """Notes that the Customer is closed, unless that was noted before."""
    values = {"customer": customer, "close_time": now}
    await connection.execute(insert(closed_customers).values(values).on_conflict_do_nothing())


async def forget(connection: AsyncConnection, customer: str) -> None:
    """Removes the Customer's opt-outs, and the sealed key that they were known under."""
    for table in (opt_outs, customer_keys):
        await connection.execute(delete(table).where(table.c.customer == customer))
