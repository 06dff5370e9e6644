"""What couriers send: parcels of a queue, taken for a while and recorded when they ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.notice.mail.schedule import Outcome


@dataclass(frozen=True, slots=True)
class Parcel:
    """A mail as it is to be sent."""

    key: tuple[str, str]
    """Customer, and the mail's name in its queue."""
    recipient: str
    sender: str | None
    """Address of the envelope; None: the one that is set for all mails."""
    content: bytes
    attempts: int
    """How often it was taken up, this time included."""
    asked: datetime
    """Since when it is to be sent: what the end of all attempts is counted from."""
    until: datetime
    """When another worker takes it."""

    @property
    def tenant(self) -> str:
        """The Customer."""
        return self.key[0]

    @property
    def domain(self) -> str:
        """Domain of the recipient, in lower case."""
        return self.recipient.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, and when the next one is due; None: that was the last."""

    parcel: Parcel
    outcome: Outcome
    reply: str
    again: datetime | None


class Queue(Protocol):
    """Where parcels come from. Each call is a transaction of its own."""

    async def take(self, now: datetime, until: datetime, limit: int) -> list[Parcel]:
        """Takes at most so many that are due, the longest due first; nobody else takes them before `until`.

        None of them: nothing is due.
        """
        ...

    async def record(self, ended: Sequence[Ended], now: datetime) -> None:
        """Stores how attempts ended. What has a final state already keeps it."""
        ...

    async def put_back(self, parcels: Sequence[Parcel], due: datetime) -> None:
        """Gives back what was taken and not tried."""
        ...
