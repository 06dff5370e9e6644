"""The job that carries deletions on after a crash or an absence of storage, and forgets openings in time."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final

from idv.errors import IdvError

from services.retention import store
from services.retention.deletions import ENDED, Deletions
from services.retention.sealing import SealError
from services.retention.store import Work
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.logs import Log

_FIRST_RETRY: Final = timedelta(seconds=1)
_LONGEST_RETRY: Final = timedelta(minutes=1)


class Resumption:
    """Looks at every deletion that has something left to do. Safe in any number of replicas at once."""

    def __init__(
        self, database: Database, deletions: Deletions, clock: Clock, log: Log, step: timedelta
    ) -> None:
        self._database = database
        self._deletions = deletions
        self._clock = clock
        self._log = log
        self._step = step

    async def run(self) -> None:
        """Does what is due now. What cannot be done yet is put off, each time for longer, up to a minute."""
        while item := await self._take():
            await self._do(item)

    async def _take(self) -> Work | None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            return await store.take_work(connection, now, now + self._step)

    async def _do(self, item: Work) -> None:
        try:
            deletion = await self._deletions.get(item.tenant, item.deletion)
            if deletion.state in ENDED:
                await self._deletions.age(item.tenant, item.deletion)
            else:
                await self._deletions.carry_out(item.tenant, item.deletion)
        except (IdvError, SealError) as error:
            await self._put_off(
                item, error.reason_name if isinstance(error, IdvError) else "SEALED_OTHERWISE"
            )
        except BaseException:  # also where this process ends: the deletion waits for no takeover
            with contextlib.suppress(IdvError):
                await self._put_off(item, "INTERNAL")
            raise

    async def _put_off(self, item: Work, reason: str) -> None:
        delay = min(_FIRST_RETRY * 2 ** min(item.attempts, 10), _LONGEST_RETRY)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.postpone_work(connection, item.deletion, now, now + delay)
        self._log.warning("a deletion is put off", reason=reason, attempt=item.attempts)
