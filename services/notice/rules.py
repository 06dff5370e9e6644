"""The rules of the house under which versions are announced, and what an author says of a change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum


class Declared(IntEnum):
    """What the author says of a change; numbers of `idv.notice.v1.Materiality`."""

    NOTHING = 0
    IMMATERIAL = 1
    MATERIAL = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """How a version is to be announced: whatever an announcement says beside the version's number."""

    declared: Declared = Declared.NOTHING
    reason: str = ""
    """Why, where the author's word is what counts."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of the deployment."""

    two_persons: bool = False
    """Whether the person who announces must be another than the one who drafted."""
    lead: timedelta = timedelta(0)
    """How far ahead a material version is announced at least."""
    mails_per_second: float = 50.0
    """How many Customers are told in a second, for the estimate."""
    delivers: bool = True
    """Whether Customers can be told: no material version is announced otherwise."""

    def duration(self, audience: int) -> timedelta:
        """How long telling so many Customers takes, in whole seconds."""
        return timedelta(seconds=math.ceil(audience / self.mails_per_second))


NO_WISH = Wish()
"""Nothing said beside the version's number and its instant."""
HOUSE = Rules()
"""No rule of the house: one officer, no lead."""


def person_of(actor: str) -> str | None:
    """The person in an actor such as `officer/anna`; None where the certificate names none."""
    _, _, person = actor.partition("/")
    return person or None
