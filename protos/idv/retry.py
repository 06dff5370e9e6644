"""When a call that was refused or lost is made again, and how long to wait before.

Safe for every call of the contract: each mutation carries a request id, and a repeat gets the first answer.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from idv.errors import IdvError, Reason

_T = TypeVar("_T")
_PASSING = frozenset({Reason.ERROR_REASON_UNAVAILABLE, Reason.ERROR_REASON_OVERLOADED})
"""Reasons that pass by themselves, also where no server could say when."""


@dataclass(frozen=True)
class Retry:
    """Repeats a call up to `attempts` times in all, after pauses that double from `first` to `most` seconds.

    Where the server says how long to wait, at least that long. Of the pause a random half is left out, so
    that many clients do not come back at once. An error that waiting cannot heal is raised at once.
    """

    attempts: int = 6
    first: float = 0.2
    most: float = 5.0

    def pause(self, made: int, error: IdvError) -> float | None:
        """Seconds to wait after `made` attempts, the last of which ended in `error`; None: give up."""
        if made >= self.attempts or (error.retry_after is None and error.reason not in _PASSING):
            return None
        backoff = min(self.most, self.first * 2.0 ** (made - 1))
        return (error.retry_after or 0.0) + backoff * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret

    def run(self, call: Callable[[], _T]) -> _T:
        """What `call` returns in the end; raises its last IdvError."""
        for made in itertools.count(1):
            try:
                return call()
            except IdvError as error:
                pause = self.pause(made, error)
                if pause is None:
                    raise
            time.sleep(pause)
        raise AssertionError("counting never ends")

    async def run_async(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """The same for a coroutine function; other tasks run during the pauses."""
        for made in itertools.count(1):
            try:
                return await call()
            except IdvError as error:
                pause = self.pause(made, error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("counting never ends")


NEVER = Retry(attempts=1)
"""Makes each call once."""
