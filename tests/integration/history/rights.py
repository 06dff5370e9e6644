"""Rules of reading, of the rights through the Customer, and of what another Customer sees."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.storage.v1 import storage_pb2
from idv.storage.v1.storage_pb2_grpc import StorageServiceStub
from idv.types.v1 import processing_pb2

from tests.integration.callers import service
from tests.integration.history.collecting import ANY, CUSTOMER, SUBJECT, Collecting, always, when
from tests.integration.history.model import Record, Session
from tests.integration.history.suite import answered

PURPOSE = st.sampled_from(
    [
        *([processing_pb2.PURPOSE_VERIFICATION] * 2),
        *(processing_pb2.PURPOSE_TROUBLESHOOTING, processing_pb2.PURPOSE_RIGHTS_SUPPORT),
    ]
)
OUT = st.sampled_from([(), ("device.network",), ("face_image", "device.hardware.idfv")])
FOREIGN = {"NOT_FOUND", "WRONG_TENANT", "PERMISSION_DENIED"}


class Reading(Collecting):
    """Reads, descriptions and lists."""

    @rule(at=ANY, purpose=PURPOSE)
    @when(lambda self: self.model.records)
    def read(self, at: int, purpose: processing_pb2.Purpose.ValueType) -> None:
        """Reads one of the records."""
        record = self.model.records[-1 - at % len(self.model.records)]
        self.do("read a record", self.look(record, purpose))

    async def look(self, record: Record, purpose: processing_pb2.Purpose.ValueType) -> None:
        """Reads a record, and is answered as the model says."""
        body = await self.expect(
            lambda before, after: self.model.reading(record, purpose, before, after),
            self.suite.read(record.name, purpose),
        )
        if body is not None:
            assert hashlib.sha256(body).digest() == record.digest
            self.model.reads[record.name][purpose] += 1

    @rule(at=ANY)
    @when(lambda self: self.model.records)
    def describe(self, at: int) -> None:
        """Asks what a record is, for the purpose that no restriction forbids."""
        record = self.model.records[-1 - at % len(self.model.records)]
        self.do("describe a record", self._describe(record))

    async def _describe(self, record: Record) -> None:
        storage = self.suite.callers.stub(StorageServiceStub, "storage", service("support"))
        purpose = processing_pb2.PURPOSE_RIGHTS_SUPPORT
        request = storage_pb2.GetRecordRequest(name=record.name, purpose=purpose)
        found = await self.expect(
            lambda before, after: self.model.reading(
                record, processing_pb2.PURPOSE_RIGHTS_SUPPORT, before, after
            ),
            answered(lambda: storage.GetRecord(request)),
        )
        assert found is None or found.record.category == record.category

    @rule(at=ANY)
    @when(lambda self: self.model.sessions)
    def list_session(self, at: int) -> None:
        """Lists the readable records of a session."""
        session = self.model.sessions[-1 - at % len(self.model.sessions)]
        self.do("list a session", self.shows([session], session=session.name))

    @rule(customer=CUSTOMER, subject=SUBJECT)
    @when(always)
    def list_subject(self, customer: int, subject: str) -> None:
        """Lists the readable records of a subject, of that Customer alone."""
        sessions = list(self.model.of(self.customers[customer], subject))
        self.do("list a subject", self.shows(sessions, customer=self.customers[customer], subject=subject))

    async def shows(self, sessions: list[Session], *, customer: str = "", **of: str) -> None:
        """What is listed of these sessions is what the model holds."""
        customer, before = customer or sessions[0].customer, self.now
        try:
            listed = await answered(lambda: self.suite.verification.records(customer, **of), "a list")
        except IdvError as error:
            assert error.reason_name in {"NOT_FOUND", "EXPIRED"}  # noqa: PT017 - its day is gone
            listed = []
        self.holds({one.name for one in listed}, sessions, before)

    def holds(self, names: set[str], sessions: list[Session], before: datetime) -> None:
        """What was found of these sessions since that instant is what the model holds."""
        own = {one.name: one for one in self.model.records if one.session in sessions}
        assert names <= set(own), "nobody else's"
        for name, record in own.items():
            right = self.model.reading(record, processing_pb2.PURPOSE_RIGHTS_SUPPORT, before, self.now)
            assert right.hold(None if name in names else next(iter(right.must | right.may), "MISSING"))


class Rights(Reading):
    """Restriction, opting out, and end users' own requests."""

    @rule(customer=CUSTOMER, subject=SUBJECT, restricted=st.booleans())
    @when(always)
    def restrict(self, customer: int, subject: str, restricted: bool) -> None:
        """Restricts a subject, or lifts it; a repeat has the same answer."""
        name = self.customers[customer]
        self.do("restrict or lift", self.restricted(name, subject, restricted=restricted))

    async def restricted(self, customer: str, subject: str, *, restricted: bool) -> None:
        """A restriction, or its end."""
        request = rights_pb2.SetRestrictionRequest(
            parent=f"customers/{customer}",
            request_id=str(uuid.uuid4()),
            subject=subject,
            restricted=restricted,
            reason=processing_pb2.RESTRICTION_REASON_OBJECTION_PENDING,
        )
        await self._set(customer, "SetRestriction", request)
        self.model.restrict(customer, subject, restricted=restricted, now=self.now)

    @rule(customer=CUSTOMER, subject=SUBJECT, items=OUT, opted_out=st.integers(0, 2))
    @when(always)
    def opt_out(self, customer: int, subject: str, items: tuple[str, ...], opted_out: int) -> None:
        """Opts a subject out, or lifts it, which comes more often; a repeat is answered the same."""
        request = rights_pb2.SetOptOutRequest(
            parent=f"customers/{self.customers[customer]}",
            request_id=str(uuid.uuid4()),
            subject=subject,
            items=items,
            opted_out=opted_out == 0,
        )
        self.do("opt out or lift", self._set(self.customers[customer], "SetOptOut", request))
        if opted_out == 0:
            self.model.opt_outs[self.customers[customer], subject] = frozenset(items)
        else:
            self.model.opt_outs.pop((self.customers[customer], subject), None)

    async def _set(self, customer: str, name: str, request: Any) -> None:
        """Calls a method of the rights service twice with one request: the answers are the same, and stay so.

        A late repeat must not set again what was lifted meanwhile.
        """
        first = await answered(lambda: getattr(self.suite.rights(customer), name)(request))

        async def again() -> None:
            assert await answered(lambda: getattr(self.suite.rights(customer), name)(request)) == first

        await again()
        self.later(name, customer, again)

    @rule(customer=CUSTOMER, kind=st.integers(1, 5), by_support=st.booleans())
    @when(always)
    def relay(self, customer: int, kind: int, by_support: bool) -> None:
        """Enters an end user's own request and, once it is listed, marks it as answered."""
        self.do("relay and resolve", self._relay(self.customers[customer], kind, by_support))

    async def _relay(self, customer: str, kind: int, by_support: bool) -> None:
        request_id, rights = str(uuid.uuid4()), self.suite.rights(customer)
        case = await self.suite.relay(customer, kind, request_id, by_support=by_support)
        assert case == await self.suite.relay(customer, kind, request_id, by_support=by_support)
        listing = rights_pb2.ListRelaysRequest(parent=f"customers/{customer}", page_size=1000)
        listed = await answered(lambda: rights.ListRelays(listing))
        (own,) = [one for one in listed.relays if one.case_number == case]
        assert (own.kind, own.HasField("resolve_time")) == (kind, False)
        request = rights_pb2.ResolveRelayRequest(name=own.name, request_id=str(uuid.uuid4()))
        resolved = await answered(lambda: rights.ResolveRelay(request))
        assert resolved.relay.state == rights_pb2.RELAY_STATE_RESOLVED

        async def again() -> None:
            assert case == await self.suite.relay(customer, kind, request_id, by_support=by_support)

        self.later("a relay", customer, again)


class Strangers(Rights):
    """What one Customer may see of another: nothing."""

    @rule(at=ANY)
    @when(lambda self: self.model.records)
    def look_at_another_customers(self, at: int) -> None:
        """Reads, lists and deletes another's under one's own name and under theirs: nothing comes of it."""
        record = self.model.records[-1 - at % len(self.model.records)]
        self.do("try another Customer's", self._intrude(record))

    async def _intrude(self, record: Record) -> None:
        owner = record.session.customer
        (stranger,) = [customer for customer in self.customers if customer != owner]
        renamed = record.name.replace(owner, stranger, 1)
        with_purpose = self.suite.read(renamed, processing_pb2.PURPOSE_VERIFICATION)
        await self._refused(with_purpose)
        deletions = self.suite.deletions(stranger)
        for parent, session in ((owner, record.session.name), (stranger, record.session.name)):
            listing = deletions_pb2.ListRecordsRequest(parent=f"customers/{parent}", session=session)
            await self._refused(answered(partial(deletions.ListRecords, listing)))
        for target in (record.name, renamed):
            request = deletions_pb2.CreateDeletionRequest(
                parent=f"customers/{stranger}",
                request_id=str(uuid.uuid4()),
                target=deletions_pb2.DeletionTarget(record=target),
            )
            await self._refused(answered(partial(deletions.CreateDeletion, request)))

    async def _refused(self, call: Any) -> None:
        try:
            await call
        except IdvError as error:
            assert error.reason_name in FOREIGN, error  # noqa: PT017 - each of them tells nothing
        else:
            raise AssertionError("another Customer's data was served")
