"""A clock for tests of what depends on the time: it moves only when told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 24, 10, tzinfo=UTC)
"""When a test begins that says nothing else."""


class SetClock:
    """A clock that stands where the test sets it."""

    def __init__(self, now: datetime = START) -> None:
        self.time = now

    def now(self) -> datetime:
        """Where it stands."""
        return self.time

    def advance(self, **duration: float) -> None:
        """Moves it on by a `timedelta` of these parts."""
        self.time += timedelta(**duration)


class SetDatabaseClock:
    """The database's clock, set by a test `apart` from the process's."""

    def __init__(self, clock: SetClock) -> None:
        self._clock, self.apart = clock, timedelta()

    def at(self, told: datetime) -> datetime:
        """Where it stands, whatever the server told."""
        return self._clock.now() + self.apart
