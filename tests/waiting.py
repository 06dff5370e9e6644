"""Waiting for what another process does: it sends no event, so its effect is looked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Return when `condition()` holds; raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.01)
