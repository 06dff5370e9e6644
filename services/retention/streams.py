"""How many streams a Customer may hold open with this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from idv.errors import IdvError, Reason

_RETRY_SECONDS: Final = 10.0


class Streams:
    """Counts open streams by Customer: each one asks storage again and again, for as long as it is open."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    @contextmanager
    def opened(self, customer: str) -> Iterator[None]:
        """Holds one stream of the Customer; raises OVERLOADED when it has as many as it may."""
        if self._open[customer] >= self._limit:
            raise IdvError(
                Reason.ERROR_REASON_OVERLOADED,
                f"the Customer follows its accesses with {self._limit} streams already",
                remedy="end one of them, or let one reader serve several programs",
                retry_after=_RETRY_SECONDS,
                metadata={"limit": str(self._limit)},
            )
        self._open[customer] += 1
        try:
            yield
        finally:
            self._open[customer] -= 1
            if not self._open[customer]:
                del self._open[customer]

    def count(self) -> int:
        """How many are open, of all Customers."""
        return self._open.total()
