"""Wide scopes of an erasure: a category, a range of receipt, or everything a Customer has. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2

from services.runtime.instants import instant
from services.storage.epochs import Epoch, midnight
from services.storage.grants import categories
from services.storage.instants import TOLERANCE
from services.storage.store.fences import Fence

WIDE = frozenset({"category", "received", "everything"})
"""Kinds of targets that name no record, session or subject."""
_INSTANT = timedelta(microseconds=1)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Scope(NamedTuple):
    """What a wide erasure concerns: whatever lies within the fence, which ends when it was asked for.

    What is committed when the fence goes up belongs to it as well, up to `latest`: a Customer who has the
    answer to a write may delete it at once, whatever the clocks of two services say. `whole`: sessions opened
    within it close whatever they hold. Else they close when they hold nothing that was received outside of
    it. Of a category, none closes.
    """

    fence: Fence
    latest: datetime
    whole: bool

    def touches(self, day: date) -> bool:
        """Whether sessions of the day may hold what was received within."""
        return self.fence.start < Epoch.of_day(day).end and midnight(day) < self.latest

    @property
    def widest(self) -> Fence:
        """The fence as far as it may ever reach."""
        return self.fence._replace(end=self.latest)

    def upto(self, newest: datetime | None) -> Fence:
        """The fence that takes in what was received then, too: the newest that is committed."""
        end = self.fence.end if newest is None else max(self.fence.end, newest + _INSTANT)
        return self.fence._replace(end=min(end, self.latest))

    @property
    def closes_sessions(self) -> bool:
        """Whether sessions go too."""
        return self.fence.category is None


def check(target: storage_pb2.ErasureTarget) -> None:
    """Raises INVALID_ARGUMENT or TIME_OUT_OF_RANGE for a category that is none, or a range that ends before
    it begins.
    """
    kind = target.WhichOneof("target")
    if kind == "category" and target.category not in categories():
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "there is no such category",
            field="target.category",
            remedy=f"name one of {', '.join(sorted(categories()))}",
        )
    if kind == "received":
        start, end = _range(target)
        if start >= end:
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "the range ends before it begins",
                field="target.received",
                remedy="give an end_time after the start_time",
            )


def scope_of(customer: str, target: storage_pb2.ErasureTarget, asked: datetime) -> Scope | None:
    """The scope of a target that was asked for then, which nothing received later belongs to.

    None for a target that names a record, a session or a subject.
    """
    kind = target.WhichOneof("target")
    if kind not in WIDE:
        return None
    start, end = _range(target) if kind == "received" else (_BEGINNING, asked)
    category = target.category if kind == "category" else None
    if kind != "received":
        end = asked + TOLERANCE
    fence = Fence(customer, category, start, min(end, asked))
    return Scope(fence, latest=min(end, asked + TOLERANCE), whole=kind == "everything")


def _range(target: storage_pb2.ErasureTarget) -> tuple[datetime, datetime]:
    start = instant(target.received.start_time, field="target.received.start_time")
    return start, instant(target.received.end_time, field="target.received.end_time")
