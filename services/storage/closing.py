"""The end of a Customer: nothing is taken in for it ever after, and its long-lived key is destroyed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from idv.storage.v1 import closing_pb2
from idv.storage.v1.closing_pb2_grpc import ClosingServiceServicer

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.instants import timestamp
from services.runtime.resources import parse_customer
from services.storage.changes import Changes
from services.storage.customer_keys import CustomerKeys
from services.storage.store import closing as store
from services.storage.store import locks

_OPEN: Final = timedelta(days=1)
"""Sessions that still take data are of today or yesterday."""


class Closing(ClosingServiceServicer):
    """Closes Customers; a repeat does again only what a crash left undone."""

    def __init__(self, database: Database, keys: CustomerKeys, changes: Changes, clock: Clock) -> None:
        self._database, self._keys, self._changes, self._clock = database, keys, changes, clock

    async def CloseCustomer(
        self, request: closing_pb2.CloseCustomerRequest, context: Any
    ) -> closing_pb2.CloseCustomerResponse:
        """See the contract."""
        closed = await self.close(parse_customer(request.name, field="name"))
        return closing_pb2.CloseCustomerResponse(close_time=timestamp(closed))

    async def close(self, customer: str) -> datetime:
        """Closes the Customer and destroys its key; returns since when it is closed.

        A session that is just being opened is committed before, or refused: it waits for its day's lock.
        """
        days = await self._changes.recent(_OPEN)
        async with self._database.transaction([customer]) as connection:
            for day in days:
                await locks.day_for_erasing(connection, day)
            await locks.customer(connection, customer)
            now = self._clock.now()
            await store.close(connection, customer, now)
            await store.forget(connection, customer)
            since = await store.close_time(connection, customer) or now
        await self._keys.destroy(customer)
        return since
