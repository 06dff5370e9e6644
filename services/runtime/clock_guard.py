"""The guard of scheduled destruction: a wrong clock must destroy nothing early.

It keeps a high-water mark in the database: the instant up to which what is due may be destroyed. The mark
follows the clocks while they agree, at most three times as fast as real time, which is one quarter-hour per
five minutes. A jump of more than a quarter-hour waits for an operator, who looks at the clocks and confirms
with `idv clock --confirm`. Time that a process has itself seen pass, by its monotonic timer, is no jump.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Column, DateTime, MetaData, SmallInteger, Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.both_clocks import BothClocks, Reading
from services.runtime.database import Database
from services.runtime.logs import Log
from services.runtime.telemetry import Telemetry

TOLERANCE: Final = timedelta(seconds=5)
"""How far the two clocks may be apart."""
STEP: Final = timedelta(minutes=15)
"""How far the mark may be behind without an operator being asked, whatever happened in between."""
RATE: Final = 3.0
"""How many times faster than real time the mark catches up."""
_ROW: Final = 1


class Waits(enum.Enum):
    """Why destruction waits."""

    DISAGREEMENT = "CLOCKS_DISAGREE"
    """Process and database are more than `TOLERANCE` apart."""
    JUMP = "CLOCK_JUMPED"
    """The clocks are further ahead of the mark than real time is known to have passed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a look at the clocks."""

    mark: datetime
    until: datetime | None
    """What is due by then may be destroyed; None: nothing."""
    waits: Waits | None = None


def judge(reading: Reading, mark: datetime, ceiling: datetime, *, confirmed: bool = False) -> Verdict:
    """Where the mark moves, and up to when what is due may be destroyed.

    `ceiling`: how far real time, as this process saw it pass, lets the mark go. `confirmed`: any jump is
    meant. The mark never moves back, and nothing is destroyed that either clock says is not due.
    """
    if abs(reading.process - reading.database) > TOLERANCE:
        return Verdict(mark, None, Waits.DISAGREEMENT)
    now = min(reading.process, reading.database)
    if now <= mark:
        return Verdict(mark, now)
    if confirmed:
        return Verdict(now, now)
    if now > max(mark + STEP, ceiling):
        return Verdict(mark, mark, Waits.JUMP)
    moved = min(now, max(mark, ceiling))
    return Verdict(moved, moved)


async def agreed_time(clocks: BothClocks, connection: AsyncConnection) -> datetime | None:
    """The earlier of both clocks; None while they disagree. For what needs no mark: evidence of years."""
    reading = await clocks.read(connection)
    if abs(reading.process - reading.database) > TOLERANCE:
        return None
    return min(reading.process, reading.database)


def mark_table(metadata: MetaData) -> Table:
    """The table `clock_marks` of a service, of one row; its migration makes it and grants SELECT, INSERT,
    UPDATE.
    """
    return Table(
        "clock_marks",
        metadata,
        Column("id", SmallInteger, primary_key=True, autoincrement=False),
        Column(
            "mark", DateTime(timezone=True), nullable=False, comment="What is due by then may be destroyed."
        ),
    )


class ClockGuard:
    """The guard of one service, in one process; any number of replicas share the mark.

    `confirms_itself`: every jump is meant, as where a time file moves the clocks; production never says so.
    """

    def __init__(
        self,
        database: Database,
        clocks: BothClocks,
        log: Log,
        telemetry: Telemetry,
        *,
        schema: str,
        confirms_itself: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._clocks, self._log = database, clocks, log
        self._confirms_itself, self._monotonic = confirms_itself, monotonic
        self._table = mark_table(MetaData(schema=schema))
        self._seen: tuple[datetime, float] | None = None
        self._waits: Waits | None = None
        self._waiting = telemetry.meter.create_counter(
            "idv.clock.waits", description="Looks at the clocks after which destruction had to wait."
        )

    async def until(self) -> datetime | None:
        """What is due by then may be destroyed; None: nothing. Raises IdvError when the database is away."""
        async with self._database.transaction() as connection:
            reading = await self._clocks.read(connection)
            mark = await self._mark(connection, reading)
            verdict = judge(reading, mark, self._ceiling(mark), confirmed=self._confirms_itself)
            if verdict.mark > mark:
                await set_mark(connection, self._table, verdict.mark)
        self._tell(verdict, reading)
        if verdict.waits is not Waits.DISAGREEMENT:
            self._seen = (verdict.mark, self._monotonic())
        return verdict.until

    async def _mark(self, connection: AsyncConnection, reading: Reading) -> datetime:
        found = await find_mark(connection, self._table)
        if found is not None:
            return found
        first = min(reading.process, reading.database)
        if abs(reading.process - reading.database) <= TOLERANCE:
            values = {"id": _ROW, "mark": first}
            await connection.execute(insert(self._table).values(values).on_conflict_do_nothing())
        return first

    def _ceiling(self, mark: datetime) -> datetime:
        if self._seen is None:
            return mark
        seen, at = self._seen
        return seen + RATE * timedelta(seconds=self._monotonic() - at)

    def _tell(self, verdict: Verdict, reading: Reading) -> None:
        if verdict.waits is not None:
            self._waiting.add(1, {"reason": verdict.waits.value})
        if verdict.waits is self._waits:
            return
        self._waits = verdict.waits
        if verdict.waits is None:
            self._log.info("destruction goes on")
            return
        apart = abs(reading.process - reading.database)
        jump = min(reading.process, reading.database) - verdict.mark
        self._log.error(
            "destruction waits for the clock",
            reason=verdict.waits.value,
            seconds=round((apart if verdict.waits is Waits.DISAGREEMENT else jump).total_seconds()),
            remedy="look at `idv clock`, and at the time of both machines",
        )


async def find_mark(connection: AsyncConnection, table: Table) -> datetime | None:
    """The mark; None before the first look of any process."""
    found: datetime | None = await connection.scalar(select(table.c.mark).where(table.c.id == _ROW))
    return found


async def set_mark(connection: AsyncConnection, table: Table, mark: datetime) -> None:
    """Moves the mark forward, never back."""
    ahead = (table.c.id == _ROW) & (table.c.mark < mark)
    await connection.execute(table.update().where(ahead).values(mark=mark))
