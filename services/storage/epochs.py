"""Epochs: the quarter hours of receipt, counted from 00:00 UTC of the session's day, each under its own root
key.

A record's epoch follows from its id alone, so key, partition and term never depend on when something was
committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

SLOT = timedelta(minutes=15)
LAST_SLOT = 103
"""A session and its uploads end within two hours of midnight: 26 hours of quarter hours."""
SLOTS_A_DAY = LAST_SLOT + 2
"""Root keys of one day: one for each quarter hour, and the day key."""
DAY_SLOT = 127
"""Reserved: the day key, for digests of subjects and of requests. It lives as long as the last slot."""


def midnight(day: date) -> datetime:
    """00:00 UTC of the day."""
    return datetime.combine(day, time.min, UTC)


@dataclass(frozen=True, slots=True, order=True)
class Epoch:
    """One root key's share of time: a session's day and a slot of it."""

    day: date
    slot: int

    def __post_init__(self) -> None:
        if not (0 <= self.slot <= LAST_SLOT or self.slot == DAY_SLOT):
            raise ValueError(f"no such slot: {self.slot}")

    @classmethod
    def of(cls, day: date, received: datetime) -> Epoch:
        """The epoch of what was received then in a session of the day; ValueError outside of its 26 hours."""
        return cls(day, (received - midnight(day)) // SLOT)

    @classmethod
    def of_day(cls, day: date) -> Epoch:
        """The epoch of the day key."""
        return cls(day, DAY_SLOT)

    @property
    def end(self) -> datetime:
        """The first instant at which nothing more can be received in the epoch."""
        return midnight(self.day) + (min(self.slot, LAST_SLOT) + 1) * SLOT

    def due(self, retention: timedelta) -> datetime:
        """The instant from which the root key must not exist: its last possible record has expired."""
        return self.end + retention
