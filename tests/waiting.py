"""Waiting for what another process does: it sends no event, so its effect is looked for, with an end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

_Found = TypeVar("_Found")

_PAUSE = 0.01


@overload
async def until(
    what: str, condition: Callable[[], Awaitable[_Found | None]], *, seconds: float = ...
) -> _Found: ...
@overload
async def until(what: str, condition: Callable[[], _Found | None], *, seconds: float = ...) -> _Found: ...
async def until(what: str, condition: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """Asks `condition`, a function or coroutine function, until its answer is true, and returns that.

    Raises TimeoutError, saying that `what` did not happen, after `seconds` of real time. An exception of the
    condition ends the waiting: a condition that expects failures handles them itself.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        answer = condition()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        if loop.time() > end:
            raise TimeoutError(f"within {seconds:g} s this did not happen: {what}")
        await asyncio.sleep(_PAUSE)
