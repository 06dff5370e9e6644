"""The state machine: hypothesis chooses what happens next, the suite does it, the model says what is right.

Its steps are written out when a history fails, with made-up names alone, and hypothesis shortens it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from idv import receipts
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2 import DeletionTarget
from idv.types.v1 import processing_pb2

from tests.integration.history.collecting import ANY, CUSTOMER, SUBJECT
from tests.integration.history.model import CATEGORIES, TERM, Record, Session
from tests.integration.history.rights import Strangers
from tests.integration.history.suite import answered

JUMPS = st.sampled_from(
    [
        *(timedelta(seconds=seconds) for seconds in (-90, 30, 1200, 10_800)),
        *(timedelta(days=days) for days in (1, 9)),
    ]
)
VICTIMS = st.sampled_from(["storage", "retention", "ingest", "notice", "postgres", "objects"])
BETWEEN_KILLS = 40
"""Steps: a start takes a second or two."""


class Deleting(Strangers):
    """Deletion by every scope, counted first, and repeated."""

    @precondition(lambda self: self.model.records)
    @rule(at=ANY)
    def delete_record(self, at: int) -> None:
        """Deletes one record."""
        record = self.model.records[-1 - at % len(self.model.records)]
        target = DeletionTarget(record=record.name)
        self._delete("delete a record", record.session.customer, target, [record])
        record.erased = True

    @precondition(lambda self: self.model.sessions and self.taken % 2 == 0)
    @rule(at=ANY)
    def delete_session(self, at: int) -> None:
        """Deletes one session with its records."""
        session = self.model.sessions[-1 - at % len(self.model.sessions)]
        target = DeletionTarget(session=session.name)
        self._delete("delete a session", session.customer, target, self._records([session]))
        session.erased = True

    @precondition(lambda self: self.taken % 3 == 0)
    @rule(customer=CUSTOMER, subject=SUBJECT)
    def delete_subject(self, customer: int, subject: str) -> None:
        """Deletes all that there is of a subject."""
        sessions = list(self.model.of(self.customers[customer], subject))
        target = DeletionTarget(subject=subject)
        self._delete("delete a subject", self.customers[customer], target, self._records(sessions))
        for session in sessions:
            session.erased = True

    @precondition(lambda self: self.taken % 3 == 0)
    @rule(customer=CUSTOMER, which=st.sampled_from(sorted(CATEGORIES)))
    def delete_category(self, customer: int, which: str) -> None:
        """Deletes a category."""
        name, category = self.customers[customer], CATEGORIES[which][1]
        self._delete("delete a category", name, DeletionTarget(category=category), None)
        self.model.erase_received(name, category, datetime.min.replace(tzinfo=UTC), self.now)

    @precondition(lambda self: self.model.records)
    @rule(at=ANY)
    def delete_range(self, at: int) -> None:
        """Deletes what was received since one of the records was."""
        record = self.model.records[-1 - at % len(self.model.records)]
        target, until = DeletionTarget(), Timestamp()
        target.received.start_time.FromDatetime(record.received)
        until.FromDatetime(max(self.now, record.received) + timedelta(hours=1))
        target.received.end_time.CopyFrom(until)
        self._delete("delete a range", record.session.customer, target, None)
        self.model.erase_received(record.session.customer, None, record.received, self.now)

    @precondition(lambda self: self.taken % 20 == 0)
    @rule(customer=CUSTOMER)
    def delete_everything(self, customer: int) -> None:
        """Deletes everything of a Customer."""
        name = self.customers[customer]
        self._delete("delete everything", name, DeletionTarget(everything=True), None)
        self.model.erase_everything(name, self.now)

    @precondition(lambda self: self.model.records and self.taken % 3 == 0)
    @rule(at=ANY, subject=SUBJECT)
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
        request_id, before = str(uuid.uuid4()), self.now
        try:
            counted = await self.suite.delete(customer, target, request_id, dry_run=True)
            done = await self.suite.delete(customer, target, request_id)
        except IdvError as error:
            assert error.reason_name == "NOT_FOUND", error  # noqa: PT017 - its day is gone
            named = target.record or target.session
            (session,) = [one for one in self.model.sessions if named.startswith(one.name)]
            assert session.opened + TERM <= self.model.latest
            return None
        if target.WhichOneof("target") != "targets" and not self.passed(before):
            assert counted.record_count == done.record_count
        self.repeats.append(lambda: self._same(customer, target, request_id, done))
        return done

    def passed(self, since: datetime) -> bool:
        """Whether a record's term may have ended since: then two counts may differ."""
        return any(since <= one.expires <= self.now for one in self.model.records)

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

    @precondition(lambda self: self.repeats)
    @rule(at=ANY)
    def repeat(self, at: int) -> None:
        """Repeats an earlier deletion, whatever happened since: it has the same receipt."""
        self.do("repeat a deletion", self.repeats[-1 - at % len(self.repeats)]())


class Machine(Deleting):
    """All rules, with what goes wrong meanwhile."""

    @precondition(lambda self: self.taken % 4 == 0)
    @rule(by=JUMPS)
    def travel(self, by: timedelta) -> None:
        """Moves the clock of the whole suite, once in a while back by a little."""
        self.do("move the clock", self._travel(self.now + by))

    @precondition(lambda self: self.model.records and self.taken % 3 == 0)
    @rule(at=ANY)
    def to_the_end_of_a_term(self, at: int) -> None:
        """Moves the clock to the instant at which a record's term ends: it cannot be read any more."""
        record = self.model.records[-1 - at % len(self.model.records)]
        if record.expires > self.now:
            self.do("move the clock to a record's end", self._travel(record.expires))
        for purpose in (processing_pb2.PURPOSE_VERIFICATION, processing_pb2.PURPOSE_RIGHTS_SUPPORT):
            self.do("read past its second", self.look(record, purpose))

    async def _travel(self, to: datetime) -> None:
        self.suite.stack.travel(to=to)

    @precondition(lambda self: self.taken % BETWEEN_KILLS == BETWEEN_KILLS - 1)
    @rule(victim=VICTIMS)
    def kill(self, victim: str) -> None:
        """Kills a process; the next steps meet it away, and starting."""
        self.do(f"kill {victim}", self._kill(victim))

    async def _kill(self, victim: str) -> None:
        if self.background is not None:
            await self.background
        await self.suite.stack.kill(victim, restart=False)
        self.background = asyncio.create_task(self.suite.stack.restart(victim))

    @precondition(lambda self: self.taken % 7 == 0)
    @rule(service=st.sampled_from(["storage", "retention", "ingest"]))
    def pause(self, service: str) -> None:
        """Stops a process for a moment in the middle of what it does; the next steps wait for it."""
        self.do(f"pause {service}", self._pause(service))

    async def _pause(self, service: str) -> None:
        pid = self.suite.stack.processes[service].component.pid
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(0.2, _continue, pid)

    @precondition(lambda self: self.taken > 70)
    @rule(customer=CUSTOMER, suspended=st.booleans())
    def suspend(self, customer: int, suspended: bool) -> None:
        """Suspends a Customer or ends that: nothing is collected, everything else goes on."""
        name = self.customers[customer]
        if self.model.suspended.get(name, (False, 0.0))[0] != suspended:
            self.do("suspend or end it", self.suite.set_state(name, suspended=suspended))
            self.model.suspended[name] = (suspended, time.monotonic())

    def teardown(self) -> None:
        """At the end, whatever was ever acknowledged is as the model says, and listed so."""
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()

    async def _end(self) -> None:
        if self.background is not None:
            await self.background
        checks: list[Coroutine[Any, Any, None]] = [
            self.look(one, processing_pb2.PURPOSE_RIGHTS_SUPPORT) for one in self.model.records
        ]
        checks += [self.shows([one], session=one.name) for one in self.model.sessions]
        await asyncio.gather(*checks)


def _continue(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:  # killed meanwhile
        return
