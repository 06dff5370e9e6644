"""Periodic jobs that are safe in several replicas: a lease lets one run at a time, once a period.

A lease cannot stop a process that froze while it held it, and a clock that jumps ends it early: so a job must
still be idempotent; the lease only keeps replicas from doing the same work twice as a rule.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from idv.errors import IdvError
from sqlalchemy import Column, DateTime, MetaData, Table, Text, or_
from sqlalchemy.dialects.postgresql import insert

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.logs import Log
from services.runtime.telemetry import Telemetry

_LEASE: Final = timedelta(seconds=60)
_POLL_SECONDS: Final = 0.5
"""Real seconds between two looks at the injected clock, which may travel."""


class LeaseLostError(Exception):
    """Another process took the lease while the job ran, as after a jump of the clock: the run was stopped."""


@dataclass(frozen=True)
class PeriodicJob:
    """Work to do every `every` of the injected clock, first at the start.

    `leased=False` runs it in each replica, for what belongs to the process itself.
    """

    name: str
    every: timedelta
    run: Callable[[], Awaitable[None]]
    leased: bool = True


def lease_table(metadata: MetaData) -> Table:
    """The table `job_leases` of a service; its migration makes it and grants SELECT, INSERT, UPDATE."""
    return Table(
        "job_leases",
        metadata,
        Column("job", Text, primary_key=True),
        Column("holder", Text, nullable=False, comment="The process that runs the job, by a random name."),
        Column(
            "held_until", DateTime(timezone=True), nullable=False, comment="When another may take it over."
        ),
        Column("due_time", DateTime(timezone=True), nullable=False, comment="When the job is to run next."),
    )


class Leases:
    """Leases of one service, by the injected clock; each change is a short transaction of its own."""

    def __init__(self, database: Database, clock: Clock, *, schema: str, holder: str | None = None) -> None:
        self._database = database
        self._clock = clock
        self._holder = holder or secrets.token_hex(8)
        self._table = lease_table(MetaData(schema=schema))

    async def take(self, job: PeriodicJob) -> bool:
        """Takes the lease when the job is due and nobody else holds it.

        A lease of its own it takes again at once: a process runs a job once at a time, so that one is left
        over from a run whose end could not be stored. A held or due time further away than the present clock
        could have set comes from a clock that was set back: it counts as past.
        """
        now, table = self._clock.now(), self._table
        statement = insert(table).values(
            job=job.name, holder=self._holder, held_until=now + _LEASE, due_time=now
        )
        own = table.c.holder == self._holder
        free = or_(own, table.c.held_until <= now, table.c.held_until > now + _LEASE)
        due = or_(table.c.due_time <= now, table.c.due_time > now + job.every)
        statement = statement.on_conflict_do_update(
            index_elements=[table.c.job],
            set_={"holder": self._holder, "held_until": now + _LEASE},
            where=free & due,
        )
        async with self._database.transaction() as connection:
            taken = await connection.execute(statement.returning(table.c.job))
            return taken.first() is not None

    async def renew(self, job: PeriodicJob) -> bool:
        """Holds the lease for longer; False when another process has taken it."""
        return await self._update(job, held_until=self._clock.now() + _LEASE)

    async def give_back(self, job: PeriodicJob, due: datetime) -> None:
        """Ends the lease; the job is to run again at `due`."""
        await self._update(job, held_until=self._clock.now(), due_time=due)

    async def _update(self, job: PeriodicJob, **values: datetime) -> bool:
        mine = (self._table.c.job == job.name) & (self._table.c.holder == self._holder)
        async with self._database.transaction() as connection:
            changed = await connection.execute(self._table.update().where(mine).values(**values))
            return changed.rowcount == 1


@dataclass
class JobRunner:
    """Runs one job for as long as its task lives."""

    job: PeriodicJob
    clock: Clock
    log: Log
    telemetry: Telemetry
    leases: Leases | None
    poll_seconds: float = _POLL_SECONDS
    renew_seconds: float = _LEASE.total_seconds() / 3
    _due: datetime | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._runs = self.telemetry.meter.create_counter(
            "idv.job.runs", description="Runs of periodic jobs by outcome."
        )

    async def forever(self) -> None:
        """Waits for each due time and runs the job; a failed run is logged, and repeated a period later."""
        while True:
            now = self.clock.now()
            if self._due is None or now >= self._due or self._due > now + self.job.every:
                pause = await self._attempt()
                self._due = self.clock.now() + pause
            await asyncio.sleep(min(self.poll_seconds, self.job.every.total_seconds()))

    def _retry(self) -> timedelta:
        """How soon to ask for the lease again: another replica may have died while it held it."""
        if self.leases is None:
            return self.job.every
        return min(self.job.every, max(self.job.every / 10, timedelta(seconds=1)))

    async def _attempt(self) -> timedelta:
        """Runs the job unless another replica does; returns how long to wait until the next attempt."""
        try:
            if self.leases is None:
                await self.job.run()
            elif not await self.leases.take(self.job):
                return self._retry()
            else:
                await self._run_leased(self.leases)
        except Exception as error:  # whatever it is, the next run has its time
            self._runs.add(1, {"job": self.job.name, "outcome": "failed"})
            reason = error.reason_name if isinstance(error, IdvError) else None
            self.log.error("a periodic job failed", job=self.job.name, reason=reason, exc_info=error)
            return self.job.every
        self._runs.add(1, {"job": self.job.name, "outcome": "done"})
        return self._retry()

    async def _run_leased(self, leases: Leases) -> None:
        started = self.clock.now()
        tasks = (asyncio.ensure_future(self.job.run()), asyncio.ensure_future(self._keep(leases)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await leases.give_back(self.job, started + self.job.every)

    async def _keep(self, leases: Leases) -> None:
        """Renews the lease while the job runs; ends in LeaseLostError when another process has taken it."""
        while True:
            await asyncio.sleep(self.renew_seconds)
            if not await leases.renew(self.job):
                raise LeaseLostError
