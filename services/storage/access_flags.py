"""What is remarkable about an access. A pure rule: it folds accesses in their order, and refuses none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from idv.types.v1 import processing_pb2

BULK = 1 << processing_pb2.ACCESS_FLAG_BULK
FIRST_PURPOSE = 1 << processing_pb2.ACCESS_FLAG_FIRST_PURPOSE
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """An access as the rule sees it."""

    service: str
    purpose: int
    access_time: datetime
    record_count: int


@dataclass(slots=True)
class Total:
    """Counts of one day, service and purpose."""

    access_count: int = 0
    record_count: int = 0
    bulk_count: int = 0
    first_purpose: bool = False


@dataclass(frozen=True, slots=True)
class BulkRule:
    """From how many records on, within a window, a service's accesses to a Customer's records are bulk reads.

    Windows have a fixed length and begin at whole multiples of it since 1970: every replica cuts them alike.
    """

    records: int
    window: timedelta

    def start(self, when: datetime) -> datetime:
        """The beginning of the window that an instant lies in."""
        return _UNIX + (when - _UNIX) // self.window * self.window


Window = tuple[str, datetime]
"""A service and the beginning of a window."""


@dataclass(slots=True)
class Judgement:
    """Judges one Customer's accesses, after what is known: services with their purposes, counts by window.

    `totals` and `added` hold what the judged accesses add.
    """

    rule: BulkRule
    known: set[tuple[str, int]]
    before: Mapping[Window, int]
    totals: dict[tuple[date, str, int], Total] = field(default_factory=dict)
    added: dict[Window, int] = field(default_factory=dict)

    def flags(self, seen: Seen) -> int:
        """The flags of the next access, as bits."""
        window = (seen.service, self.rule.start(seen.access_time))
        self.added[window] = self.added.get(window, 0) + seen.record_count
        flags = BULK if self.before.get(window, 0) + self.added[window] > self.rule.records else 0
        pair = (seen.service, seen.purpose)
        if pair not in self.known:
            self.known.add(pair)
            flags |= FIRST_PURPOSE
        total = self.totals.setdefault((seen.access_time.date(), *pair), Total())
        total.access_count += 1
        total.record_count += seen.record_count
        total.bulk_count += bool(flags & BULK)
        total.first_purpose |= bool(flags & FIRST_PURPOSE)
        return flags


def named(flags: int) -> Iterable[processing_pb2.AccessFlag.ValueType]:
    """The flags that are set among bits."""
    return [flag for flag in processing_pb2.AccessFlag.values() if flag and flags & 1 << flag]
