"""The workers that send what the queues hold: any number, in any number of replicas.

Parcels are taken for a while (SKIP LOCKED), sent, and how that ended is stored. When a worker dies in
between, another sends the mail again once that while is over, under the same Message-ID: a mail may come
twice, but none is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from idv.errors import IdvError

from services.notice.mail.domains import DomainLimits
from services.notice.mail.flow import Flow, Session
from services.notice.mail.queue import Parcel, Queue
from services.notice.mail.schedule import Schedule
from services.runtime.clock import Clock
from services.runtime.logs import Log

_LOOK_SECONDS = 0.5
"""Real seconds between two looks into empty queues: the injected clock may travel."""
_AWAY_SECONDS = 1.0
"""Real seconds until the next look when the database is away."""
_TAKEN_AHEAD = 8
"""Parcels taken at once for each session: so many wait behind a slow server, and no more."""


@dataclass(frozen=True, slots=True)
class CourierTerms:
    """How many workers there are, and how they go about it."""

    workers: int
    takeover: timedelta
    """How long a mail stays with the worker that took it: longer than an attempt can take."""
    schedule: Schedule
    attempt: timedelta = timedelta(0)
    """How long an attempt can take: none is begun so shortly before another worker takes the mail."""
    domains: DomainLimits | None = None


class Courier:
    """The workers of one process. `counted` is told each outcome; `sign` gives a mail its signature."""

    def __init__(
        self,
        queues: Sequence[Queue],
        session: Callable[[], Session],
        clock: Clock,
        log: Log,
        terms: CourierTerms,
        counted: Callable[[str], None] = lambda outcome: None,
        sign: Callable[[bytes], bytes] = lambda content: content,
    ) -> None:
        self._queues = queues
        self.session = session
        self.clock = clock
        self.log = log
        self.terms = terms
        self.counted = counted
        self.sign = sign
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        """Lets each worker end what it is sending, and take no more: a mail cut off would come twice."""
        self.stopping.set()

    async def run(self) -> None:
        """Sends until `stop`."""
        while not self.stopping.is_set():
            try:
                await self.empty()
                pause = _LOOK_SECONDS
            except IdvError as error:
                self.log.warning("the outbox is not read", reason=error.reason_name)
                pause = _AWAY_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), pause)

    async def empty(self) -> None:
        """Sends what is due now, and returns when nothing is."""
        while not self.stopping.is_set() and (taken := await self.take()):
            await Flow(self).run(taken)

    async def take(self) -> list[tuple[Queue, Parcel]]:
        """Parcels that are due, of every queue, a bounded number of each."""
        now, limit = self.clock.now(), self.terms.workers * _TAKEN_AHEAD
        taken: list[tuple[Queue, Parcel]] = []
        for queue in self._queues:
            try:
                parcels = await queue.take(now, now + self.terms.takeover, limit)
            except BaseException:  # one queue's absence keeps no other's parcels until the takeover
                for other in dict.fromkeys(of for of, _ in taken):
                    with contextlib.suppress(IdvError):
                        await other.put_back([parcel for of, parcel in taken if of is other], now)
                raise
            taken += ((queue, parcel) for parcel in parcels)
        return taken
