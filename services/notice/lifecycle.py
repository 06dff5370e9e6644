"""The life of a version, computed from stored instants whenever it is asked: no scheduler can be late.

    DRAFT -> ANNOUNCED -> IN_FORCE -> SUPERSEDED
                 \\-> WITHDRAWN (before effect only)

A version is in force from the later of its effective instant and the instant its gate cleared, both stored
once, until the next one is. So every past instant has one answer for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import Enum, auto


class State(Enum):
    """State of a version at an instant."""

    DRAFT = auto()
    ANNOUNCED = auto()
    IN_FORCE = auto()
    SUPERSEDED = auto()
    WITHDRAWN = auto()


@dataclass(frozen=True, slots=True)
class Life:
    """The instants of one version, each written once; all are aware and in UTC."""

    number: int
    create_time: datetime
    announce_time: datetime | None = None
    effective_time: datetime | None = None
    """The instant the announcement names."""
    clear_time: datetime | None = None
    """When everybody who must be told before had been told; equal to the announcement where nobody must."""
    withdraw_time: datetime | None = None

    @property
    def start(self) -> datetime | None:
        """From when it is in force; None while that is not known, and for ever once withdrawn."""
        if self.withdraw_time or self.effective_time is None or self.clear_time is None:
            return None
        return max(self.effective_time, self.clear_time)


@dataclass(frozen=True, slots=True)
class Term:
    """A version with the half-open interval in which it is in force."""

    number: int
    start: datetime
    end: datetime | None
    """Start of the next version; None while no next one is announced with a known start."""

    def covers(self, instant: datetime) -> bool:
        """Whether the version is in force at this instant."""
        return self.start <= instant and (self.end is None or instant < self.end)


def terms_of_force(lives: Iterable[Life]) -> tuple[Term, ...]:
    """Every version that is, was or will be in force, in the order of time, each until the next."""
    starts = sorted((start, life.number) for life in lives if (start := life.start) is not None)
    ends = [*(start for start, _ in starts[1:]), None]
    # One end more than starts where no version has a start: that one belongs to none.
    return tuple(Term(number, start, end) for (start, number), end in zip(starts, ends, strict=False))


def in_force(lives: Iterable[Life], instant: datetime) -> int | None:
    """Number of the version in force at an instant; None before the first."""
    return next((term.number for term in terms_of_force(lives) if term.covers(instant)), None)


def state(life: Life, lives: Sequence[Life], instant: datetime) -> State:
    """State of a version at an instant, among all versions."""
    if life.withdraw_time is not None and life.withdraw_time <= instant:
        return State.WITHDRAWN
    if life.announce_time is None or instant < life.announce_time:
        return State.DRAFT
    start = life.start
    if start is None or instant < start:
        return State.ANNOUNCED
    return State.IN_FORCE if in_force(lives, instant) == life.number else State.SUPERSEDED


def upcoming(lives: Iterable[Life], instant: datetime) -> Life | None:
    """The version that is announced and not yet in force, if there is one: never two at a time."""
    for life in lives:
        announced = life.announce_time is not None and life.withdraw_time is None
        if announced and (life.start is None or instant < life.start):
            return life
    return None


def is_utc_midnight(instant: datetime) -> bool:
    """Whether an instant is 00:00 UTC: where another retention may start, so that one day has one term."""
    return instant.astimezone(UTC).timetz() == time(0, tzinfo=UTC)
