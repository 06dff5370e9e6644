"""One stretch of a courier's work: from the first parcels that are due until none is.

Sessions send side by side. One recorder stores how attempts ended: each commit holds all that ended during
the last, without a timer, so a worker that dies leaves little that was sent and not recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from idv.errors import IdvError

from services.notice.mail.queue import Ended, Parcel, Queue
from services.notice.mail.schedule import Attempt, Outcome

if TYPE_CHECKING:
    from services.notice.mail.courier import Courier

_RECORD_AGAIN_SECONDS = 1.0
"""Real seconds until what ended is recorded again when the database is away."""


class Session(Protocol):
    """Where a worker sends; `SmtpSession` in the service."""

    async def send(self, recipient: str, content: bytes, sender: str | None = None) -> Attempt:
        """Sends a mail and says how that ended; raises nothing."""
        ...

    async def close(self) -> None:
        """Ends the session."""
        ...


class Flow:
    """Made for one stretch."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._terms = courier.terms
        self._ready: asyncio.Queue[tuple[Queue, Parcel] | None] = asyncio.Queue(2 * courier.terms.workers)
        self._ended: list[tuple[Queue, Ended, asyncio.Future[None]]] = []
        self._something = asyncio.Event()
        self._sent_all = False

    async def run(self, taken: Sequence[tuple[Queue, Parcel]]) -> None:
        """Sends these and all that is due after them. Raises IdvError when the queues cannot be read."""
        failed: IdvError | None = None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._record())
            async with asyncio.TaskGroup() as senders:
                try:
                    workers = await self._feed(taken, senders)
                except IdvError as error:  # first what is under way comes to its end
                    failed, workers = error, self._terms.workers  # who is not there leaves its end unread
                for _ in range(workers):
                    await self._ready.put(None)
            self._sent_all = True
            self._something.set()
        if failed is not None:
            raise failed

    async def _feed(self, taken: Sequence[tuple[Queue, Parcel]], senders: asyncio.TaskGroup) -> int:
        """Passes parcels to as many workers as there is work for, and returns how many those were."""
        workers = 0
        while taken:
            for one in taken:
                if workers < self._terms.workers:
                    senders.create_task(self._send())
                    workers += 1
                await self._ready.put(one)
            if self._courier.stopping.is_set():
                break
            taken = await self._courier.take()
        return workers

    async def _send(self) -> None:
        session = self._courier.session()
        earlier: asyncio.Future[None] | None = None
        before: asyncio.Future[None] | None = None
        try:
            while (one := await self._ready.get()) is not None:
                queue, parcel = one
                if earlier is not None:  # so that a kill leaves at most two mails of a session unrecorded
                    await earlier
                if self._courier.stopping.is_set():
                    await self._put_back(queue, parcel, 0.0)
                elif self._courier.clock.now() + self._terms.attempt < parcel.until:
                    earlier, before = before, await self._try(session, queue, parcel)
                # else another worker is about to take it, because a server let the ones before it wait
        finally:
            await session.close()

    async def _try(self, session: Session, queue: Queue, parcel: Parcel) -> asyncio.Future[None] | None:
        """Sends a parcel; what it returns is done once that is recorded."""
        domains = self._terms.domains
        wait = domains.enter(parcel.domain, time.monotonic()) if domains else 0.0
        if wait > 0:
            await self._put_back(queue, parcel, wait)
            return None
        try:
            attempt = await session.send(parcel.recipient, self._courier.sign(parcel.content), parcel.sender)
        finally:
            if domains:
                domains.leave(parcel.domain)
        again = None
        if attempt.outcome is Outcome.PUT_OFF:
            now = self._courier.clock.now()
            again = self._terms.schedule.next_time(parcel.asked, parcel.attempts, now)
        recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended.append((queue, Ended(parcel, attempt.outcome, attempt.reply, again), recorded))
        self._something.set()
        return recorded

    async def _put_back(self, queue: Queue, parcel: Parcel, seconds: float) -> None:
        due = self._courier.clock.now() + timedelta(seconds=seconds)
        with contextlib.suppress(IdvError):  # without it, the parcel is taken up again at the takeover
            await queue.put_back([parcel], due)

    async def _record(self) -> None:
        while not (self._sent_all and not self._ended):
            await self._something.wait()
            self._something.clear()
            ended, self._ended = self._ended, []
            for queue in dict.fromkeys(queue for queue, _, _ in ended):
                await self._stored(queue, [end for of, end, _ in ended if of is queue])
            for _, _, recorded in ended:
                recorded.set_result(None)

    async def _stored(self, queue: Queue, ended: Sequence[Ended]) -> None:
        """Records until that succeeds, or the process is stopped: what is lost here is sent twice."""
        while True:
            try:
                await queue.record(ended, self._courier.clock.now())
                break
            except IdvError as error:
                self._courier.log.warning("what was sent is not recorded", reason=error.reason_name)
                if self._courier.stopping.is_set():
                    return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._courier.stopping.wait(), _RECORD_AGAIN_SECONDS)
        self._tell(ended)

    def _tell(self, ended: Sequence[Ended]) -> None:
        """Counts each; says once what several mails met alike."""
        alike: Counter[tuple[str, str]] = Counter()
        for end in ended:
            failed = end.again is None and end.outcome is not Outcome.ACCEPTED
            self._courier.counted("failed" if failed else end.outcome.value.replace(" ", "_"))
            if failed:
                alike["a mail failed for good", _reason(end)] += 1
            elif end.again is not None:
                alike["a mail is put off", _reason(end)] += 1
        for (what, reason), count in alike.items():
            self._courier.log.warning(what, reason=reason, count=count)


def _reason(end: Ended) -> str:
    """The code of a server's reply, whose text may name an address; or what stood in its place."""
    return end.reply[:3] if end.reply[:3].isdigit() else end.reply
