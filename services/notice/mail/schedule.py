"""What an attempt to send ended in, and what follows from it: pure rules."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta


class Outcome(enum.Enum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    """The mail server took the mail (250). That says nothing of its being read."""
    REFUSED = "refused"
    """The mail server refused this mail for good (5yz to the recipient or the content)."""
    PUT_OFF = "put off"
    """Not now (4yz, 421), no usable answer, or no session at all: to be tried again."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: its outcome, and the reply or what stood in its place."""

    outcome: Outcome
    reply: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a mail that was put off is tried again, and when no more."""

    steps: tuple[timedelta, ...]
    """Time after the first, second, … attempt; the last counts for all that follow."""
    give_up: timedelta
    """Time after the mail was asked for from which on a failed attempt is the last."""

    def next_time(self, asked: datetime, attempts: int, now: datetime) -> datetime | None:
        """When to try again after `attempts` of them, the last at `now`; None: it failed for good.

        The last attempt falls on the end itself, so that none is left out for a step too long.
        """
        end = asked + self.give_up
        if now >= end:
            return None
        step = self.steps[min(attempts, len(self.steps)) - 1]
        return min(now + step, end)


def of_reply(code: int, reply: str) -> Attempt:
    """What a reply to the mail itself means, by its class (RFC 5321, 4.2.1)."""
    if 200 <= code < 300:
        return Attempt(Outcome.ACCEPTED, reply)
    if 500 <= code < 600:
        return Attempt(Outcome.REFUSED, reply)
    return Attempt(Outcome.PUT_OFF, reply)
