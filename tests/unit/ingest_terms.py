"""Terms and clocks for the tests of ingest's pure rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from idv.types.v1 import processing_pb2

from services.ingest.contract import Catalogue
from services.ingest.notice_terms import Interval, Listed, Terms, TermsHistory

CATALOGUE = Catalogue()
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SDK, CUSTOMER = processing_pb2.SOURCE_SDK, processing_pb2.SOURCE_CUSTOMER
BOTH = frozenset({SDK, CUSTOMER})


class StillClock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOON) -> None:
        self.present = now

    def now(self) -> datetime:
        return self.present

    def move(self, seconds: float) -> None:
        self.present += timedelta(seconds=seconds)


def terms(version: int = 1, *, without: Iterable[str] = (), sdk_only: Iterable[str] = ()) -> Terms:
    """Terms that list every item of the contract from both sources, except as said (by code or category)."""
    gone = {code for name in without for code in (*CATALOGUE.codes(name), name)}
    narrow = {code for name in sdk_only for code in (*CATALOGUE.codes(name), name)}
    items = {
        code: Listed(item.optional, frozenset({SDK}) if code in narrow else BOTH)
        for code, item in CATALOGUE.items.items()
        if code not in gone
    }
    return Terms(version, 30, (processing_pb2.PURPOSE_VERIFICATION,), items)


def history(*starts: tuple[int, datetime | None]) -> TermsHistory:
    """Versions with the instants from which they are in force; None for one behind its gate, due at noon."""
    return TermsHistory([Interval(terms(number), start, start or NOON) for number, start in starts])
