"""How much is taken at once: a rate for each Customer, and budgets of memory for all."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

from idv.errors import IdvError, Reason

_RETRY_SECONDS = 0.5


class RateLimit:
    """A token bucket for each Customer: `rate` units a second, twice as many at once."""

    def __init__(self, rate: float, what: str) -> None:
        self._rate = rate
        self._burst = 2 * rate
        self._what = what
        self._buckets: dict[str, tuple[datetime, float]] = {}

    def take(self, customer: str, now: datetime, units: float = 1.0) -> None:
        """Takes units; raises OVERLOADED, saying when to come back. More than a burst empties the bucket."""
        since, left = self._buckets.get(customer, (now, self._burst))
        left = min(self._burst, left + max(0.0, (now - since).total_seconds()) * self._rate)
        wanted = min(units, self._burst)
        # Noted also when refused: who was refused after a clock went back waits from then on, and no longer.
        self._buckets[customer] = (now, left)
        if left < wanted:
            raise IdvError(
                Reason.ERROR_REASON_OVERLOADED,
                f"the Customer sends more {self._what} than its rate allows",
                remedy="wait, then retry with the same request id",
                retry_after=(wanted - left) / self._rate,
            )
        self._buckets[customer] = (now, left - wanted)


class BodyMemory:
    """Bytes that all bodies under way may hold together; those of one Customer at most half of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._held: defaultdict[str, int] = defaultdict(int)

    @contextmanager
    def held(self, customer: str, size: int) -> Iterator[None]:
        """Holds `size` bytes for an upload that begins; raises OVERLOADED when they are not free.

        It never waits: who waits holds nothing, and who holds waits for pixels alone.
        """
        if size > self._free or self._held[customer] + size > self._size // 2:
            raise IdvError(
                Reason.ERROR_REASON_OVERLOADED,
                "too many uploads are under way",
                remedy="wait, then retry with the same request id",
                retry_after=_RETRY_SECONDS,
            )
        self._free -= size
        self._held[customer] += size
        try:
            yield
        finally:
            self._held[customer] -= size
            self._free += size


class PixelMemory:
    """Bytes that all pictures being decoded may take together; who needs some waits its turn."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def held(self, size: int) -> AsyncIterator[None]:
        """Waits, in order, for `size` bytes; more than all of them counts as all.

        The deadline of the call bounds the wait.
        """
        size = min(size, self._size)
        if size > self._free or self._waiting:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                self._give_up(size, turn)
                raise
        else:
            self._free -= size
        try:
            yield
        finally:
            self._release(size)

    def _give_up(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.cancelled():
            self._waiting.remove((size, turn))
            self._serve()
        else:  # the turn came in the same moment
            self._release(size)

    def _release(self, size: int) -> None:
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            self._free -= size
            turn.set_result(None)
