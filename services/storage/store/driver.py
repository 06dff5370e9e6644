"""The driver's own connection, for the statements that every write and read runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection


async def driver(connection: AsyncConnection) -> Any:
    """asyncpg's connection below `connection`, inside the same transaction.

    The transaction must have named its tenants: SQLAlchemy begins it on the wire with its own first
    statement.
    """
    raw = await connection.get_raw_connection()
    return raw.driver_connection
