"""Advisory locks, each its own statement: what is read after it sees everything committed before it."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.epochs import Epoch

_DAY, _EPOCH, _ORDER, _PARTITIONS = 0x1D70, 0x1D71, 0x1D72, 0x1D73
_LOCK = text("SELECT pg_advisory_xact_lock(:kind, :number)").bindparams(
    bindparam("kind", type_=Integer), bindparam("number", type_=Integer)
)
_CUSTOMER = text("SELECT pg_advisory_xact_lock(hashtextextended(:customer, 7537))")
_REQUEST = text("SELECT pg_advisory_xact_lock(hashtextextended(:request, 7536))")
_SHARED = "SELECT pg_advisory_xact_lock_shared($1, $2)"


async def day_for_writing(driver: Any, day: date) -> None:
    """Waits for erasures that touch the day to commit; many writers hold it together."""
    await driver.execute(_SHARED, _DAY, day.toordinal())


async def day_for_erasing(connection: AsyncConnection, day: date) -> None:
    """Waits for writers of the day to commit, and keeps others out until this transaction ends."""
    await connection.execute(_LOCK, {"kind": _DAY, "number": day.toordinal()})


async def epoch(connection: AsyncConnection, of: Epoch) -> None:
    """One replica at a time makes the root key of an epoch."""
    await connection.execute(_LOCK, {"kind": _EPOCH, "number": of.day.toordinal() << 7 | of.slot})


async def destruction_order(connection: AsyncConnection) -> None:
    """One transaction at a time takes the next sequence number, so that they are committed in order."""
    await connection.execute(_LOCK, {"kind": _ORDER, "number": 0})


async def partitions(connection: AsyncConnection) -> None:
    """One replica at a time makes partitions."""
    await connection.execute(_LOCK, {"kind": _PARTITIONS, "number": 0})


async def request(connection: AsyncConnection, customer: str, request_id: UUID) -> None:
    """One at a time among the repeats of a request, on whatever day they arrive."""
    await connection.execute(_REQUEST, {"request": f"{customer}/{request_id}"})


async def customer(connection: AsyncConnection, name: str) -> None:
    """One replica at a time makes a Customer's long-lived key."""
    await connection.execute(_CUSTOMER, {"customer": name})
