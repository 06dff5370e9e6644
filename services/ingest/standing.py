"""Whether a Customer is served, and which optional items it may ask for: as notice has it, seconds old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2, customers_pb2_grpc

from services.ingest.contract import Catalogue
from services.runtime.resources import customer_name

FRESH_SECONDS = 5.0
"""How long an answer counts: a suspension takes effect within this time."""
_CALL_SECONDS = 2.0
_MOST = 10_000
"""Customers that are remembered at once."""


@dataclass(slots=True)
class _Known:
    """What was last told of a Customer; `lock` lets one call ask while the others wait for its answer."""

    suspended: bool = False
    optional: frozenset[str] = frozenset()
    until: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Standings:
    """Asks notice, and remembers. While notice is away the last answer stands.

    A Customer that notice does not know, or was never asked about while it is away, is served: whether it is
    a Customer at all, its credential says.
    """

    def __init__(
        self,
        customers: customers_pb2_grpc.CustomerServiceAsyncStub,
        catalogue: Catalogue,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._customers = customers
        self._catalogue = catalogue
        self._elapsed = elapsed
        self._known: dict[str, _Known] = {}

    async def check(self, customer: str | None, items: Iterable[str] = ()) -> None:
        """Raises CUSTOMER_SUSPENDED, or INVALID_ARGUMENT for an optional item that is not the Customer's."""
        if customer is None:
            return
        known = await self._of(customer)
        if known.suspended:
            raise IdvError(
                Reason.ERROR_REASON_CUSTOMER_SUSPENDED,
                f"{customer_name(customer)} is suspended: nothing is taken in for it",
                remedy="ask the service's operator; rights and deletion are served",
            )
        if known.optional:
            self._check_items(items, known.optional)

    def _check_items(self, items: Iterable[str], allowed: frozenset[str]) -> None:
        for index, code in enumerate(items):
            item = self._catalogue.items.get(code)
            if item is not None and item.optional and code not in allowed:
                raise IdvError(
                    Reason.ERROR_REASON_INVALID_ARGUMENT,
                    f"{code} is not among the optional items of this Customer's settings",
                    field=f"items[{index}]",
                    remedy="leave it out, or add it to the Customer's optional_items",
                )

    async def _of(self, customer: str) -> _Known:
        if len(self._known) >= _MOST and customer not in self._known:
            self._known.clear()
        known = self._known.setdefault(customer, _Known())
        if self._elapsed() >= known.until:
            async with known.lock:
                if self._elapsed() >= known.until:
                    await self._ask(customer, known)
        return known

    async def _ask(self, customer: str, known: _Known) -> None:
        request = customers_pb2.GetCustomerRequest(name=customer_name(customer))
        try:
            told = (await self._customers.GetCustomer(request, timeout=_CALL_SECONDS)).customer
        except IdvError as error:
            if error.reason == Reason.ERROR_REASON_NOT_FOUND:
                known.suspended, known.optional = False, frozenset()
        else:
            known.suspended = told.state != customers_pb2.CUSTOMER_STATE_ACTIVE
            known.optional = frozenset(told.optional_items)
        known.until = self._elapsed() + FRESH_SECONDS
