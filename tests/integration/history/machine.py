"""The state machine: hypothesis chooses what happens next, the suite does it, the model says what is right.

Its steps are written out when a history fails, with made-up names alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from idv.types.v1 import processing_pb2

from tests.integration.history.collecting import ANY, CUSTOMER, when
from tests.integration.history.deleting import Racing

JUMPS = st.sampled_from(
    [
        *(timedelta(seconds=seconds) for seconds in (-90, 30, 1200, 10_800)),
        *(timedelta(days=days) for days in (1, 9)),
    ]
)
SUSPENDING = 12
"""One history of so many suspends Customers: it takes seconds until that counts everywhere."""


class Machine(Racing):
    """All rules, with what goes wrong meanwhile."""

    @rule(by=JUMPS)
    @when(lambda self: self.taken % 4 == 0)
    def travel(self, by: timedelta) -> None:
        """Moves the clock of the whole suite, once in a while back by a little."""
        self.do("move the clock", self.travelled(self.now + by))

    @rule(at=ANY)
    @when(lambda self: self.model.records and self.taken % 3 == 0)
    def to_the_end_of_a_term(self, at: int) -> None:
        """Moves the clock to the instant at which a record's term ends: it cannot be read any more."""
        record = self.model.records[-1 - at % len(self.model.records)]
        if record.expires > self.now:
            self.do("move the clock to a record's end", self.travelled(record.expires))
        for purpose in (processing_pb2.PURPOSE_VERIFICATION, processing_pb2.PURPOSE_RIGHTS_SUPPORT):
            self.do("read past its second", self.look(record, purpose))

    @rule(service=st.sampled_from(["storage", "retention", "ingest"]))
    @when(lambda self: self.taken % 7 == 0)
    def pause(self, service: str) -> None:
        """Stops a process for a moment in the middle of what it does; the next steps wait for it."""
        self.do(f"pause {service}", self._pause(service))

    async def _pause(self, service: str) -> None:
        pid = self.suite.stack.processes[service].component.pid
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(0.2, _continue, pid)

    @rule(customer=CUSTOMER)
    @when(lambda self: self.taken >= 50 and type(self).histories % SUSPENDING == 0)
    def suspend(self, customer: int) -> None:
        """Suspends a Customer, or ends that: nothing is collected meanwhile, everything else goes on."""
        name = self.customers[customer]
        if self.toggled < 3:
            self.toggled += 1
            self.do("suspend or end it", self.suite.suspend(name, suspended=name not in self.model.suspended))
            self.model.suspended ^= {name}

    def teardown(self) -> None:
        """At the end, whatever was ever acknowledged is as the model says, and listed so."""
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()

    async def _end(self) -> None:
        await self.kills.over()
        checks: list[Coroutine[Any, Any, None]] = [
            self.look(one, processing_pb2.PURPOSE_RIGHTS_SUPPORT) for one in self.model.records
        ]
        checks += [self.shows([one], session=one.name) for one in self.model.sessions]
        await asyncio.gather(*checks)


def _continue(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:  # killed meanwhile
        return
