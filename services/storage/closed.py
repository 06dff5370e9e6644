"""What is refused for a Customer that was closed."""

from __future__ import annotations

from idv.errors import IdvError, Reason
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.resources import customer_name
from services.storage.store import closing as store


async def check_open(connection: AsyncConnection, customer: str) -> None:
    """Raises CUSTOMER_OFFBOARDED for a Customer that was closed. The transaction holds the day's lock, or
    the Customer's.
    """
    if await store.close_time(connection, customer) is not None:
        raise IdvError(
            Reason.ERROR_REASON_CUSTOMER_OFFBOARDED,
            f"{customer_name(customer)} was off-boarded: nothing is taken in for it any more",
            remedy="register the Customer anew, under another id",
        )
