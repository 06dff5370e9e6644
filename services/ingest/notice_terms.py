"""The terms of the notice as ingest enforces them, and which of them are in force when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from idv.errors import IdvError, Reason
from idv.notice.v1 import notice_pb2
from idv.types.v1 import processing_pb2

from services.ingest.contract import instant


@dataclass(frozen=True, slots=True)
class Listed:
    """How the terms list one item."""

    optional: bool
    sources: frozenset[processing_pb2.Source.ValueType]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """One version: for how long data is kept (days), for which purposes it may be read, what may enter."""

    version: int
    retention_days: int
    purposes: tuple[processing_pb2.Purpose.ValueType, ...]
    items: Mapping[str, Listed]


@dataclass(frozen=True, slots=True)
class Interval:
    """A version and when it comes into force; `in_force` is None while a material change's gate is closed."""

    terms: Terms
    in_force: datetime | None
    effective: datetime | None


class TermsHistory:
    """All announced versions, as one message of the notice service told them."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        started = [(interval.in_force, interval.terms) for interval in intervals if interval.in_force]
        self._started = sorted(started, key=lambda pair: (pair[0], pair[1].version), reverse=True)
        gated = [interval.effective for interval in intervals if not interval.in_force and interval.effective]
        self._gate = min(gated, default=None)

    @classmethod
    def read(cls, message: notice_pb2.WatchTermsResponse) -> TermsHistory:
        """The history in a message of WatchTerms."""
        return cls([_interval(interval) for interval in message.intervals])

    def at(self, moment: datetime) -> Terms | None:
        """The version in force then; None when there was none."""
        return next((terms for start, terms in self._started if start <= moment), None)

    def version(self, number: int) -> Terms | None:
        """The version of this number, if it is or was in force; None otherwise."""
        return next((terms for _, terms in self._started if terms.version == number), None)

    def certain_at(self, moment: datetime) -> bool:
        """Whether later news cannot change what is in force then, except an announcement made since."""
        return self._gate is None or moment < self._gate


def unknown(why: str) -> IdvError:
    """The refusal while no terms are known: nothing may enter without them."""
    return IdvError(
        Reason.ERROR_REASON_TERMS_UNKNOWN,
        why,
        remedy="retry with the same request id",
        retry_after=1.0,
    )


def _interval(message: notice_pb2.TermsInterval) -> Interval:
    terms = message.terms
    return Interval(
        Terms(
            version=terms.version,
            retention_days=terms.retention_days,
            purposes=tuple(terms.purposes),
            items={item.code: Listed(item.optional, frozenset(item.sources)) for item in terms.items},
        ),
        instant(message.in_force_time) if message.HasField("in_force_time") else None,
        instant(message.effective_time) if message.HasField("effective_time") else None,
    )
