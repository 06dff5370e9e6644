"""Rules of deletion: by every scope, counted first, repeated, and at the same time as anything else."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st
from hypothesis.stateful import rule
from idv import receipts
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2 import DeletionTarget

from tests.integration.history.collecting import ANY, CUSTOMER, SUBJECT, when
from tests.integration.history.knowing import FIELDS, Knowing
from tests.integration.history.model import CATEGORIES, TERM, Record, Session
from tests.integration.history.suite import answered


class Deleting(Knowing):
    """Deletion by every scope, counted first, and repeated."""

    @rule(at=ANY)
    @when(lambda self: self.model.records)
    def delete_record(self, at: int) -> None:
        """Deletes one record."""
        record = self.model.records[-1 - at % len(self.model.records)]
        target = DeletionTarget(record=record.name)
        self._delete("delete a record", record.session.customer, target, [record])
        record.erased = True

    @rule(at=ANY)
    @when(lambda self: self.model.sessions and self.taken % 2 == 0)
    def delete_session(self, at: int) -> None:
        """Deletes one session with its records."""
        session = self.model.sessions[-1 - at % len(self.model.sessions)]
        target = DeletionTarget(session=session.name)
        self._delete("delete a session", session.customer, target, self._records([session]))
        session.erased = True

    @rule(customer=CUSTOMER, subject=SUBJECT)
    @when(lambda self: self.taken % 3 == 0)
    def delete_subject(self, customer: int, subject: str) -> None:
        """Deletes all that there is of a subject."""
        sessions = list(self.model.of(self.customers[customer], subject))
        target = DeletionTarget(subject=subject)
        self._delete("delete a subject", self.customers[customer], target, self._records(sessions))
        for session in sessions:
            session.erased = True

    @rule(customer=CUSTOMER, which=st.sampled_from(sorted(CATEGORIES)))
    @when(lambda self: self.taken % 3 == 0)
    def delete_category(self, customer: int, which: str) -> None:
        """Deletes a category."""
        name, category = self.customers[customer], CATEGORIES[which][1]
        self._delete("delete a category", name, DeletionTarget(category=category), None)
        self.model.erase_received(name, category, datetime.min.replace(tzinfo=UTC), self.now)

    @rule(at=ANY)
    @when(lambda self: self.model.records)
    def delete_range(self, at: int) -> None:
        """Deletes what was received since one of the records was."""
        record = self.model.records[-1 - at % len(self.model.records)]
        target, until = DeletionTarget(), Timestamp()
        target.received.start_time.FromDatetime(record.received)
        until.FromDatetime(max(self.now, record.received) + timedelta(hours=1))
        target.received.end_time.CopyFrom(until)
        self._delete("delete a range", record.session.customer, target, None)
        self.model.erase_received(record.session.customer, None, record.received, self.now)

    @rule(customer=CUSTOMER)
    @when(lambda self: self.taken % 20 == 0)
    def delete_everything(self, customer: int) -> None:
        """Deletes everything of a Customer."""
        name = self.customers[customer]
        self._delete("delete everything", name, DeletionTarget(everything=True), None)
        self.model.erase_everything(name, self.now)

    @rule(at=ANY, subject=SUBJECT)
    @when(lambda self: self.model.records and self.taken % 3 == 0)
    def delete_several(self, at: int, subject: str) -> None:
        """Deletes a record, a session and a subject by one request."""
        record = self.model.records[-1 - at % len(self.model.records)]
        customer = record.session.customer
        several = deletions_pb2.DeletionTargets(
            records=[record.name], sessions=[record.session.name], subjects=[subject]
        )
        sessions = [record.session, *self.model.of(customer, subject)]
        self._delete("delete several", customer, DeletionTarget(targets=several), None)
        for session in sessions:
            session.erased = True

    def _records(self, sessions: list[Session]) -> list[Record]:
        return [one for one in self.model.records if one.session in sessions]

    def _delete(self, kind: str, customer: str, target: DeletionTarget, of: list[Record] | None) -> None:
        """Deletes, and compares the count where it is certain."""
        certain = of is not None and not any(
            one.gone is None or one.expires <= self.model.latest + timedelta(minutes=5) for one in of
        )
        left = sum(one.gone is False for one in of or ())
        done = self.do(kind, self._deleted(customer, target))
        if certain and done is not None:
            assert done.record_count == left

    async def _deleted(self, customer: str, target: DeletionTarget) -> deletions_pb2.Deletion | None:
        try:
            counted = await self.suite.delete(customer, target, str(uuid.uuid4()), dry_run=True)
        except IdvError as error:
            self._day_is_gone(error, target)
            return None
        done = await self.carried_out(customer, target)
        if done is not None and target.WhichOneof("target") != "targets" and not self.ending(customer):
            assert counted.record_count == done.record_count
        return done

    def ending(self, customer: str) -> bool:
        """Whether a term is over while its row may stand: a count of what is readable leaves it out."""
        own = (one for one in self.model.records if one.session.customer == customer)
        return any(one.expires <= max(self.now, self.model.latest) <= one.expires + SWEPT for one in own)

    async def carried_out(self, customer: str, target: DeletionTarget) -> deletions_pb2.Deletion | None:
        """The deletion at its end, its receipt proven; None where the day of what it names is gone."""
        request_id = str(uuid.uuid4())
        try:
            done = await self.suite.delete(customer, target, request_id)
        except IdvError as error:
            self._day_is_gone(error, target)
            return None
        again = partial(self._same, customer, target, request_id, done)
        self.later("a deletion", customer, again, within=timedelta(days=1000))
        return done

    def _day_is_gone(self, error: IdvError, target: DeletionTarget) -> None:
        assert error.reason_name == "NOT_FOUND", error
        named = target.record or target.session
        (session,) = [one for one in self.model.sessions if named.startswith(one.name)]
        assert session.opened + TERM <= max(self.model.latest, self.now)

    async def _same(
        self, customer: str, target: DeletionTarget, request_id: str, first: deletions_pb2.Deletion
    ) -> None:
        request = deletions_pb2.CreateDeletionRequest(
            parent=f"customers/{customer}", request_id=request_id, target=target
        )
        again = (await answered(lambda: self.suite.deletions(customer).CreateDeletion(request))).deletion
        said = first.receipt.json
        assert again.name == first.name
        assert again.receipt.json in (said, receipts.without_opening(said))

    @rule(at=ANY)
    @when(lambda self: any(one.until > self.model.latest for one in self.repeats))
    def repeat(self, at: int) -> None:
        """Repeats an earlier mutation, whatever happened since: it has the first answer and does nothing."""
        remembered = [one for one in self.repeats if one.until > self.model.latest]
        chosen = remembered[-1 - at % len(remembered)]
        self.do(f"repeat {chosen.kind}", chosen.ask())


SWEPT = timedelta(days=4)
"""After this a day is gone, whatever the clock did meanwhile."""
RIVALS = ("a submission", "an upload", "an export", "a restriction", "a correction", "the end of its term")


class Racing(Deleting):
    """Deletion at the same time as something else about the same data."""

    @rule(at=st.integers(0, 3), whole=st.booleans(), rival=st.sampled_from(RIVALS))
    @when(lambda self: self.model.sessions and self.taken % 2 == 1)
    def race(self, at: int, whole: bool, rival: str) -> None:
        """Whoever wins: what was acknowledged, before or meanwhile, is gone once the deletion is answered."""
        session = self.model.sessions[-1 - at % len(self.model.sessions)]
        customer, subject = session.customer, session.subject
        sessions = list(self.model.of(customer, subject)) if whole else [session]
        target = DeletionTarget(subject=subject) if whole else DeletionTarget(session=session.name)
        for one in sessions:
            one.erased = one.erased or None
        self.do(f"delete against {rival}", self._race(session, target, rival))
        for one in sessions:
            one.erased = True

    async def _race(self, session: Session, target: DeletionTarget, rival: str) -> None:
        records = [one for one in self.model.records if one.session is session]
        typed = [one for one in records if one.category in FIELDS]
        against: Coroutine[Any, Any, Any]
        if rival == "an upload":
            against = self.uploaded(session)
        elif rival == "an export":
            against = self.exported(session.customer, session.subject)
        elif rival == "a restriction":
            against = self.restricted(session.customer, session.subject, restricted=True)
        elif rival == "a correction" and typed:
            against = self.corrected(typed[-1])
        elif rival == "the end of its term" and records and records[0].expires > self.now:
            against = self.travelled(records[0].expires)
        else:
            against = self.submitted(session, "device_hardware", again=False)
        await asyncio.gather(self.carried_out(session.customer, target), against)
