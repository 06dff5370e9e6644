"""Jobs that go through many days or requests: one that fails must not hold back the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")


async def for_each(items: Iterable[_T], work: Callable[[_T], Awaitable[object]]) -> None:
    """Does the work for every item, one after another; then raises the first failure, if there was any."""
    failures: list[Exception] = []
    for item in items:
        try:
            await work(item)
        except Exception as failure:  # of whatever kind: the others have their own due times
            failures.append(failure)
    if failures:
        raise failures[0]
