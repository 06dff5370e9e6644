"""The workers that post what the outbox holds: any number, in any number of replicas.

As with mail, a worker takes a message for a while (SKIP LOCKED), posts it, and stores how that ended. When it
dies in between, another posts it again under the same id: a message may come twice, but none is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2 as pb

from services.notice.accounts.accounts import TenantTransactions
from services.notice.mail.schedule import Attempt, Outcome, Schedule
from services.notice.webhooks import store
from services.notice.webhooks.http import Poster
from services.notice.webhooks.signing import WebhookSigner
from services.notice.webhooks.store import Work
from services.runtime.clock import Clock
from services.runtime.logs import Log

_LOOK_SECONDS: Final = 0.5
"""Real seconds between two looks into an empty outbox: the injected clock may travel."""
_AGAIN: Final = timedelta(seconds=1)
"""Until the next attempt after one whose end could not be recorded."""


@dataclass(frozen=True, slots=True)
class PostingTerms:
    """How many workers there are, and how they go about it."""

    workers: int
    takeover: timedelta
    """How long a message stays with the worker that took it: longer than an attempt can take."""
    schedule: Schedule


class Posting:
    """The workers of one process. `counted` is told each outcome."""

    def __init__(
        self,
        database: TenantTransactions,
        poster: Poster,
        signer: WebhookSigner,
        clock: Clock,
        log: Log,
        terms: PostingTerms,
        counted: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._database = database
        self._poster = poster
        self._signer = signer
        self._clock = clock
        self._log = log
        self._terms = terms
        self._counted = counted
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Lets each worker end what it is posting, and take no more."""
        self._stopping.set()

    async def run(self) -> None:
        """Posts until `stop`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._terms.workers):
                group.create_task(self._worker())

    async def empty(self) -> None:
        """Posts what is due now, and returns when nothing is."""
        while not self._stopping.is_set() and await self._one():
            pass

    async def _worker(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.empty()
            except IdvError as error:
                self._log.warning("the webhooks' outbox is not read", reason=error.reason_name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _LOOK_SECONDS)

    async def _one(self) -> bool:
        """Posts the message that is due longest; False when none is."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            work = await store.take(connection, now, now + self._terms.takeover)
        if work is None:
            return False
        try:
            await self._post(work, now)
        except BaseException:  # also where this process ends: the message waits for no takeover
            with contextlib.suppress(IdvError):
                async with self._database.transaction() as connection:
                    await store.put_back(connection, work, self._clock.now() + _AGAIN)
            raise
        return True

    async def _post(self, work: Work, now: datetime) -> None:
        async with self._database.transaction([work.tenant]) as connection:
            message = await store.message(connection, work.tenant, work.webhook)
            if message is None or message.content is None or message.uri is None:
                await store.drop(connection, work)  # ended by another worker, after this one's was over
                return
        headers = self._signer.headers(str(work.webhook), int(now.timestamp()), message.content)
        await self._record(work, await self._poster.post(message.uri, headers, message.content))

    async def _record(self, work: Work, attempt: Attempt) -> None:
        now = self._clock.now()
        async with self._database.transaction([work.tenant]) as connection:
            message = await store.message(connection, work.tenant, work.webhook, lock=True)
            if message is None or message.content is None:
                return
            until = None
            if attempt.outcome is Outcome.PUT_OFF:
                until = self._terms.schedule.next_time(message.create_time, work.attempts, now)
            if until is not None:
                await store.put_off(connection, work, attempt.reply, now, until)
            else:
                taken = attempt.outcome is Outcome.ACCEPTED
                state = pb.NOTIFICATION_STATE_ACCEPTED if taken else pb.NOTIFICATION_STATE_FAILED
                await store.finish(connection, work, state, attempt.reply, now)
        self._tell(attempt, work, final=until is None)

    def _tell(self, attempt: Attempt, work: Work, *, final: bool) -> None:
        failed = final and attempt.outcome is not Outcome.ACCEPTED
        self._counted("failed" if failed else attempt.outcome.value.replace(" ", "_"))
        if failed:
            self._log.warning("a webhook failed for good", reason=attempt.reply, attempt=work.attempts)
        elif not final:
            self._log.warning("a webhook is put off", reason=attempt.reply, attempt=work.attempts)
