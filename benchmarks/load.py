"""Keeps a fixed number of calls in flight for a fixed number of calls, and says how many a second were
done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def rate(call: Callable[[int], Awaitable[object]], *, calls: int, in_flight: int) -> float:
    """Calls a second over `calls` calls with `in_flight` at once; `call` gets the number of the call.

    The first failure ends the measurement and is raised: a figure with failures in it means nothing.
    """
    numbers = iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            await call(number)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(worker())
    return calls / (time.perf_counter() - started)
