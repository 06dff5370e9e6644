"""Whatever happens to amendments: none is in force before the last was told, and none waits after.

Two replicas share a database and a clock that jumps; the mail server takes, refuses, puts off, drops and
stalls; workers are cut off in the midst of a mail. The model of `tests.amendment_history` holds after each
step.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.local.databases import DatabaseFactory
from services.notice.mail import smtp
from tests.amendment_history import History, amended
from tests.delivery_parts import telling
from tests.fickle_server import FATES, fickle
from tests.set_clock import SetClock

HISTORIES, LENGTH = 20, 25
AT = st.integers(0, 10)
FATE = st.lists(st.sampled_from([*sorted(FATES), "taken"]), min_size=1, max_size=5)


class Amending(RuleBasedStateMachine):
    """The steps; each runs on the loop of the test."""

    factory: ClassVar[DatabaseFactory]
    loop: ClassVar[asyncio.AbstractEventLoop]
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.parts = AsyncExitStack()
        self.history: History = self.on_loop(self._begin())

    def on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)

    async def _begin(self) -> History:
        database, clock = await self.factory("notice"), SetClock()
        enter = self.parts.enter_async_context
        replicas = (await enter(telling(database, clock)), await enter(telling(database, clock)))
        return History(replicas, await enter(fickle()))

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Does a step a second after the one before, and checks the model."""
        self.history.replicas[0].clock.advance(seconds=1)
        self.on_loop(work)
        self.on_loop(self.history.check())
        self.seen["steps"] += 1

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        """Begins where it matters: with Customers, and a material version that they are to be told of."""
        for _ in range(count):
            self.do(self.history.join())
        self.do(self.history.announce(amended(60, item=True), 2))

    @rule()
    def join(self) -> None:
        self.do(self.history.join())

    def present(self) -> list[str]:
        return sorted(set(self.history.addresses) - self.history.gone)

    @precondition(lambda self: self.present())
    @rule(at=AT)
    def move(self, at: int) -> None:
        self.do(self.history.move(self.present()[at % len(self.present())]))

    @precondition(lambda self: len(self.present()) > 1)
    @rule(at=AT)
    def leave(self, at: int) -> None:
        self.do(self.history.leave(self.present()[at % len(self.present())]))

    @rule(days=st.sampled_from([30, 60, 90]), item=st.booleans(), ahead=st.sampled_from([1, 2, 10, None]))
    def announce(self, days: int, item: bool, ahead: int | None) -> None:
        self.do(self.history.announce(amended(days, item), ahead))

    @rule()
    def withdraw(self) -> None:
        self.do(self.history.withdraw())

    @precondition(lambda self: self.history.announced)
    @rule(fates=FATE, kill_at=st.sampled_from([None, None, 1, 2]), moves=st.booleans())
    def send(self, fates: list[str], kill_at: int | None, moves: bool) -> None:
        self.do(self.history.send(fates, kill_at, moves))

    @precondition(lambda self: self.history.announced)
    @rule(fate=st.sampled_from(["unknown", "refused"]))
    def refuse(self, fate: str) -> None:
        """All that is due now is refused for good."""
        self.do(self.history.send([fate], None, moves=False))

    @precondition(lambda self: self.history.announced)
    @rule(what=st.sampled_from(["pause", "resume", "resume", "override"]))
    def steer(self, what: str) -> None:
        self.do(self.history.steer(max(self.history.announced), what))

    @precondition(lambda self: self.history.announced and self.history.addresses)
    @rule(at=AT)
    def bounce(self, at: int) -> None:
        tenants = sorted(self.history.addresses)
        self.do(self.history.bounce(max(self.history.announced), tenants[at % len(tenants)]))

    @precondition(lambda self: self.history.announced)
    @rule()
    def cover(self) -> None:
        self.do(self.history.cover())

    @rule(
        jump=st.sampled_from([timedelta(minutes=2), timedelta(hours=9), timedelta(days=1), timedelta(days=6)])
    )
    def travel(self, jump: timedelta) -> None:
        self.history.replicas[0].clock.time += jump
        self.do(asyncio.sleep(0))

    def teardown(self) -> None:
        """Ends a history: with mail flowing again nothing waits; then its parts go."""
        try:
            if self.history.announced:
                self.on_loop(self._settle())
        finally:
            self.seen.update(self.history.seen)
            self.on_loop(self.parts.aclose())

    async def _settle(self) -> None:
        history, last = self.history, max(self.history.announced)
        await history.steer(last, "resume")
        for _ in range(3):
            history.replicas[0].clock.advance(days=6)
            await history.send(["taken"], None, moves=False)
            await history.cover()
            await history.check()
        assert last in history.withdrawn or history.announced[last].clear is not None, "it waits for ever"


async def test_any_history_of_amendments_keeps_the_gate_and_every_answer(
    database_factory: DatabaseFactory, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "_QUIT_SECONDS", 0.05)  # a server that stalls does not answer QUIT either
    Amending.factory, Amending.loop = database_factory, asyncio.get_running_loop()
    Amending.seen.clear()
    many = settings(max_examples=HISTORIES, stateful_step_count=LENGTH, deadline=None, derandomize=True)
    await asyncio.to_thread(run_state_machine_as_test, Amending, settings=many)
    seen = Amending.seen
    told.append("any amendment: " + ", ".join(f"{count} {what}" for what, count in seen.most_common()))
    for what in ("announced", "killed", "ACCEPTED", "BOUNCED", "FAILED", "COVERED_BY_WEBSITE", "QUEUED"):
        assert seen[what], f"no history came by {what}"
