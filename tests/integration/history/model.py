"""What the suite should hold and answer, in a few lines: no I/O, only what was asked for, and when.

A race that no client can decide, such as a clock that passes an instant during a call, is `None` or a second
answer that is accepted as well. Everything else has one right answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from idv.types.v1 import processing_pb2

TERM = timedelta(days=30)
BEGINNING = datetime.min.replace(tzinfo=UTC)
GONE = frozenset({"EXPIRED", "NOT_FOUND"})
"""What is said of a record after its term, and once its day is gone."""

CATEGORIES = {
    "device_hardware": ("model", "device.hardware"),
    "device_network": ("carrier", "device.network"),
    "host_application": ("name", "device.application"),
}
"""By field of a submission: a text in it, and its category."""


@dataclass
class Session:
    """A session; `erased` and `restricted` are None where both answers are right."""

    name: str
    customer: str
    subject: str
    token: str
    opened: datetime
    closes: datetime
    erased: bool | None = False
    restricted: bool | None = False


@dataclass
class Record:
    """A record that was acknowledged."""

    name: str
    session: Session
    category: str
    received: datetime
    expires: datetime
    digest: bytes
    """SHA-256 of the body that must be read back."""
    erased: bool | None = False

    @property
    def gone(self) -> bool | None:
        """Whether it was erased, by itself or with its session."""
        if self.erased or self.session.erased:
            return True
        return None if None in (self.erased, self.session.erased) else False


@dataclass(frozen=True)
class Answers:
    """The right answers to a call: refused with one of `must`; if there is none, done, or one of `may`."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()

    def hold(self, refusal: str | None) -> bool:
        """Whether being refused so (None: not refused) is right."""
        if refusal is None:
            return not self.must
        return refusal in self.must | self.may


@dataclass
class Restriction:
    """A subject's standing restriction: it ends with the last day that has it."""

    last_day: datetime

    def holds(self, now: datetime) -> bool | None:
        """Whether a session opened now takes it over; None around the end of its last day."""
        midnight = datetime.combine(self.last_day.date(), time(), UTC)
        if now < midnight + TERM:
            return True
        return False if now > midnight + TERM + timedelta(days=4) else None


@dataclass
class Model:
    """Two Customers with subjects of the same names."""

    sessions: list[Session] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    restrictions: dict[tuple[str, str], Restriction] = field(default_factory=dict)
    opt_outs: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    """Customers of whom nothing is collected for now."""
    fences: dict[str, datetime] = field(default_factory=dict)
    """By Customer: up to when a wide deletion may concern what is received then."""
    reads: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By record and purpose: how often its body was read."""
    latest: datetime = BEGINNING
    """The latest instant that the clock showed: what was due by then may be destroyed, wherever it stands."""

    def of(self, customer: str, subject: str) -> Iterator[Session]:
        """A subject's sessions."""
        return (each for each in self.sessions if (each.customer, each.subject) == (customer, subject))

    def reading(self, record: Record, purpose: int, before: datetime, after: datetime) -> Answers:
        """Of a read that took place between two instants."""
        must, may = set[str](), set[str]()
        if record.gone is not False:
            (must if record.gone else may).add("ERASED")
        if record.expires <= before:
            must |= GONE
        elif record.expires <= max(after, self.latest):
            may |= GONE
        if purpose != processing_pb2.PURPOSE_RIGHTS_SUPPORT and record.session.restricted is not False:
            (must if record.session.restricted else may).add("RESTRICTED")
        return Answers(frozenset(must), frozenset(may))

    def collecting(self, session: Session, category: str, before: datetime, after: datetime) -> Answers:
        """Of a submission or upload to a session."""
        must, may = set[str](), set[str]()
        if session.erased is not False:
            (must if session.erased else may).add("ERASED")
        if before <= self.fences.get(session.customer, before - TERM):
            may.add("ERASED")
        if session.closes <= before:
            must |= {"SESSION_CLOSED", "CREDENTIAL_EXPIRED"}
        elif session.closes <= max(after, self.latest):
            may |= {"SESSION_CLOSED", "CREDENTIAL_EXPIRED"}
        if before < session.opened:  # the clock was set back
            may |= {"TIME_OUT_OF_RANGE", "UNAUTHENTICATED", "SESSION_CLOSED"}
        if session.opened + TERM <= max(after, self.latest):
            may |= {*GONE, "TIME_OUT_OF_RANGE"}
        out = self.opt_outs.get((session.customer, session.subject))
        if out is not None and (not out or category in out):
            must.add("OPTED_OUT")
        return self._served(session.customer, must, may)

    def opening(self, customer: str, subject: str, items: frozenset[str], before: datetime) -> Answers:
        """Of a new session for these items."""
        must, may = set[str](), set[str]()
        if before <= self.fences.get(customer, before - TERM):
            may.add("ERASED")
        out = self.opt_outs.get((customer, subject))
        if out is not None and (not out or out & items):
            must.add("OPTED_OUT")
        return self._served(customer, must, may)

    def _served(self, customer: str, must: set[str], may: set[str]) -> Answers:
        if customer in self.suspended:
            must.add("CUSTOMER_SUSPENDED")
        return Answers(frozenset(must), frozenset(may))

    def restricted(self, customer: str, subject: str, now: datetime) -> bool | None:
        """Whether a session that is opened now is restricted from its beginning."""
        standing = self.restrictions.get((customer, subject))
        taken = standing.holds(now) if standing else False
        if standing and taken:
            standing.last_day = max(standing.last_day, now)
        return taken

    def restrict(self, customer: str, subject: str, *, restricted: bool, now: datetime) -> None:
        """Sets or lifts a restriction."""
        if restricted:
            self.restrictions[customer, subject] = Restriction(now)
        else:
            self.restrictions.pop((customer, subject), None)
        for session in self.of(customer, subject):
            session.restricted = restricted

    def erase_received(self, customer: str, category: str | None, start: datetime, until: datetime) -> None:
        """What a deletion of a category, or of what was received from `start` on, makes unreadable."""
        self.fences[customer] = until
        for record in self.records:
            mine = record.session.customer == customer and category in (None, record.category)
            if mine and record.received >= start and not record.erased:
                record.erased = True if record.received <= until else None  # later only by a clock set back
        if category is None:
            for session in self.sessions:
                if session.customer == customer and session.erased is False:
                    outside = any(one.received < start for one in self.records if one.session is session)
                    session.erased = False if outside else None

    def erase_everything(self, customer: str, until: datetime) -> None:
        """What a deletion of everything makes unreadable."""
        self.fences[customer] = until
        for session in self.sessions:
            if session.customer == customer and not session.erased:
                session.erased = True if session.opened <= until else None
