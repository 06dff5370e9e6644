"""The suite's processes are killed by a schedule, each in its turn: between two steps, and during one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from services.local.stack import LocalStack

VICTIMS = ("storage", "retention", "ingest", "notice", "postgres", "objects")
EVERY = 85
"""Steps: a start takes a second or two."""
MOMENTS = (None, 0.01, 0.002, 0.03)
"""How many seconds into a step the kill comes; None: before it."""

_Answer = TypeVar("_Answer")


class Kills:
    """Kills what is next in turn, and has it started again while the history goes on."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._steps = self._turn = 0
        self._start: asyncio.Task[None] | None = None
        self.between: Counter[str] = Counter()
        """By process: kills between two steps."""
        self.during: Counter[str] = Counter()
        """By process: kills while a call of a step was not answered yet."""

    async def meanwhile(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Does a step's work; when it is time, with a process killed before or in the middle of it."""
        self._steps += 1
        if self._steps % EVERY:
            return await work
        victim = VICTIMS[self._turn % len(VICTIMS)]
        moment = MOMENTS[self._turn // len(VICTIMS) % len(MOMENTS)]
        self._turn += 1
        await self.over()
        if moment is None:
            await self._kill(victim)
            self.between[victim] += 1
            return await work
        call = asyncio.create_task(work)
        await asyncio.sleep(moment)
        (self.between if call.done() else self.during)[victim] += 1
        await self._kill(victim)
        return await call

    async def _kill(self, victim: str) -> None:
        await self._stack.kill(victim, restart=False)
        self._start = asyncio.create_task(self._stack.restart(victim))

    async def over(self) -> None:
        """Returns once what was killed last has started again."""
        if self._start is not None:
            await self._start
            self._start = None
