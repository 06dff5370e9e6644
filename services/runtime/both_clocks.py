"""The process's clock and the database's: what cannot be undone needs both, what must be refused either.

Here is the only statement that asks the database for its time. A time file moves both clocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock, TravelClock

_TOLD = text("SELECT clock_timestamp()")


class DatabaseClock(Protocol):
    """The database's clock."""

    def at(self, told: datetime) -> datetime:
        """What the clock shows when the server said that it is `told`."""
        ...


class ServerClock:
    """The clock of the database server's machine."""

    def at(self, told: datetime) -> datetime:
        """`told` itself."""
        return told


class TravelledServerClock:
    """The clock of the database server's machine, moved by the time file as the processes' clocks are."""

    def __init__(self, travelled: TravelClock) -> None:
        self._travelled = travelled

    def at(self, told: datetime) -> datetime:
        """`told`, moved."""
        return told + self._travelled.offset()


@dataclass(frozen=True, slots=True)
class Reading:
    """What the two clocks showed at one moment."""

    process: datetime
    database: datetime


class BothClocks:
    """Both clocks of a process. As a `Clock` it shows the later one.

    Between two readings the database's clock is carried on by the process's monotonic timer: asking for the
    later one costs no round trip.
    """

    def __init__(
        self, process: Clock, database: DatabaseClock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.process, self._database, self._monotonic = process, database, monotonic
        self._told: tuple[datetime, float] | None = None

    async def read(self, connection: AsyncConnection) -> Reading:
        """Reads both clocks; how long the statement took counts for neither."""
        before = self.process.now()
        told: datetime = (await connection.execute(_TOLD)).scalar_one()
        self._told = (told, self._monotonic())
        after, database = self.process.now(), self._database.at(told)
        return Reading(min(max(database, before), max(before, after)), database)

    def now(self) -> datetime:
        """The later of both clocks; before the first reading the process's."""
        process = self.process.now()
        if self._told is None:
            return process
        told, at = self._told
        return max(process, self._database.at(told + timedelta(seconds=self._monotonic() - at)))
