"""The workers that send what the outbox holds: any number, in any number of replicas.

A worker takes a mail for a while (SKIP LOCKED), sends it, and stores how that ended. When it dies in between,
another sends the mail again once that while is over, under the same Message-ID: a mail may come twice, but
none is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from idv.errors import IdvError
from idv.notice.v1 import customers_pb2 as pb

from services.notice.accounts.accounts import TenantTransactions
from services.notice.mail import store
from services.notice.mail.schedule import Attempt, Outcome, Schedule
from services.notice.mail.store import Work
from services.runtime.clock import Clock
from services.runtime.logs import Log

_LOOK_SECONDS = 0.5
"""Real seconds between two looks into an empty outbox: the injected clock may travel."""
_AWAY_SECONDS = 1.0
"""Real seconds until the next look when the database is away."""


class Session(Protocol):
    """Where a worker sends; `SmtpSession` in the service."""

    async def send(self, recipient: str, content: bytes) -> Attempt:
        """Sends a mail and says how that ended; raises nothing."""
        ...

    async def close(self) -> None:
        """Ends the session."""
        ...


@dataclass(frozen=True, slots=True)
class CourierTerms:
    """How many workers there are, and how they go about it."""

    workers: int
    takeover: timedelta
    """How long a mail stays with the worker that took it: longer than an attempt can take."""
    schedule: Schedule


class Courier:
    """The workers of one process. `counted` is told each outcome."""

    def __init__(
        self,
        database: TenantTransactions,
        session: Callable[[], Session],
        clock: Clock,
        log: Log,
        terms: CourierTerms,
        counted: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._database = database
        self._session = session
        self._clock = clock
        self._log = log
        self._terms = terms
        self._counted = counted
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Lets each worker end what it is sending, and take no more: a mail cut off would come twice."""
        self._stopping.set()

    async def run(self) -> None:
        """Sends until `stop`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._terms.workers):
                group.create_task(self._worker())

    async def empty(self) -> None:
        """Sends what is due now, and returns when nothing is."""
        session = self._session()
        try:
            while not self._stopping.is_set() and await self._one(session):
                pass
        finally:
            await session.close()

    async def _worker(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.empty()
                pause = _LOOK_SECONDS
            except IdvError as error:
                self._log.warning("the outbox is not read", reason=error.reason_name)
                pause = _AWAY_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _one(self, session: Session) -> bool:
        """Sends the mail that is due longest; False when none is."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            work = await store.take(connection, now, now + self._terms.takeover)
        if work is None:
            return False
        async with self._database.transaction([work.tenant]) as connection:
            mail = await store.mail(connection, work.tenant, work.mail)
            if mail is None or mail.content is None:  # ended by another worker, after this one's was over
                await store.drop(connection, work)
                return True
        await self._record(work, await session.send(mail.recipient, mail.content))
        return True

    async def _record(self, work: Work, attempt: Attempt) -> None:
        now = self._clock.now()
        async with self._database.transaction([work.tenant]) as connection:
            mail = await store.mail(connection, work.tenant, work.mail, lock=True)
            if mail is None or mail.content is None:
                return
            until = None
            if attempt.outcome is Outcome.PUT_OFF:
                until = self._terms.schedule.next_time(mail.create_time, work.attempts, now)
            if until is not None:
                await store.put_off(connection, work, attempt.reply, until)
            else:
                accepted = attempt.outcome is Outcome.ACCEPTED
                state = pb.DELIVERY_STATE_ACCEPTED if accepted else pb.DELIVERY_STATE_FAILED
                await store.finish(connection, work, state, attempt.reply, now)
        self._tell(attempt, work, final=until is None)

    def _tell(self, attempt: Attempt, work: Work, *, final: bool) -> None:
        failed = final and attempt.outcome is not Outcome.ACCEPTED
        self._counted("failed" if failed else attempt.outcome.value.replace(" ", "_"))
        if failed:
            self._log.warning("a mail failed for good", reason=_reason(attempt), attempt=work.attempts)
        elif not final:
            self._log.warning("a mail is put off", reason=_reason(attempt), attempt=work.attempts)


def _reason(attempt: Attempt) -> str:
    """The code of a server's reply, whose text may name an address; or what stood in its place."""
    return attempt.reply[:3] if attempt.reply[:3].isdigit() else attempt.reply
