"""Rules of knowing and correcting: exports, corrections, the list of accesses, the daily statements."""

from __future__ import annotations

import hashlib
import io
import uuid
import zipfile
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import rule
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.types.v1 import data_pb2, processing_pb2

from tests.integration.history.collecting import ANY, CUSTOMER, SUBJECT, TOO_LATE, when
from tests.integration.history.model import CATEGORIES, Record
from tests.integration.history.rights import Strangers
from tests.integration.history.suite import answered

FIELDS = {category: (field, text) for field, (text, category) in CATEGORIES.items()}
"""By category of typed items: the field of the item set, and a text in it."""


class Knowing(Strangers):
    """What a Customer learns of its data, and mends in it."""

    @rule(customer=CUSTOMER, subject=SUBJECT)
    @when(lambda self: self.taken % 3 == 1)
    def export(self, customer: int, subject: str) -> None:
        """Exports all that there is of a subject, which no restriction forbids."""
        self.do("export a subject", self.exported(self.customers[customer], subject))

    async def exported(self, customer: str, subject: str) -> None:
        """The archive is whole, and holds what the model does; refused only where something of it goes."""
        sessions, before = list(self.model.of(customer, subject)), self.now
        own = [one for one in self.model.records if one.session in sessions]
        uncertain = None in [*(one.erased for one in sessions), *(one.gone for one in own)]
        try:
            archive = zipfile.ZipFile(io.BytesIO(await self.suite.export(customer, subject)))
        except IdvError as error:
            assert error.reason_name in {"ERASED", "EXPIRED", "NOT_FOUND", "WRONG_STATE"}, error  # noqa: PT017
            if not (uncertain or self.passed(before)):
                raise AssertionError(f"refused as {error.reason_name}, and nothing of it went") from error
            return
        assert archive.testzip() is None
        listed = [path.rpartition("/")[2] for path in archive.namelist() if path.startswith("records/")]
        ids = {name.removesuffix(".json")[-36:] for name in listed if name.endswith(".json")}
        names = {one.name for one in own if one.name[-36:] in ids}
        assert len(names) == len(ids), "nobody else's"
        self.holds(names, sessions, before)

    @rule(at=ANY)
    @when(lambda self: any(one.category in FIELDS for one in self.model.records))
    def correct(self, at: int) -> None:
        """Corrects one of the records, the latest first."""
        typed = [one for one in self.model.records if one.category in FIELDS]
        self.do("correct a record", self.corrected(typed[-1 - at % len(typed)]))

    async def corrected(self, record: Record) -> None:
        """The wrong one is erased, with a receipt; the corrected one ends when it would have."""
        field, text = FIELDS[record.category]
        items, session = data_pb2.ItemSet(), record.session
        setattr(getattr(items, field), text, uuid.uuid4().hex)
        request = rights_pb2.CorrectRecordRequest(name=record.name, request_id=str(uuid.uuid4()), items=items)

        async def send() -> rights_pb2.CorrectRecordResponse:
            stub = self.suite.rights(session.customer)
            return await answered(lambda: stub.CorrectRecord(request), "a correction")

        first = await self.expect(
            lambda before, after: self.model.reading(
                record, processing_pb2.PURPOSE_RIGHTS_SUPPORT, before, after
            ),
            send(),
        )
        if first is None:
            return
        record.erased, session.erased = True, session.erased or False
        assert (first.record.supersedes, first.record.expire_time.ToDatetime(record.expires.tzinfo)) == (
            record.name,
            record.expires,
        )
        digest = hashlib.sha256(getattr(items, field).SerializeToString(deterministic=True)).digest()
        times = record.received, record.expires
        self.model.records.append(Record(first.record.name, session, record.category, *times, digest))
        await self.suite.concluded(session.customer, first.deletion)

        async def again() -> None:
            try:
                answer = await send()
            except IdvError as error:
                assert error.reason_name in TOO_LATE, error  # noqa: PT017 - nothing comes of it either
            else:
                assert (answer.record.name, answer.deletion) == (first.record.name, first.deletion)

        self.later("a correction", session.customer, again)

    @rule(at=ANY)
    @when(lambda self: self.model.reads)
    def list_accesses(self, at: int) -> None:
        """Lists the accesses to a record that was read: every read is among them."""
        names = list(self.model.reads)
        name = names[-1 - at % len(names)]
        (record,) = [one for one in self.model.records if one.name == name]
        self.do("list accesses", self._accesses(record))

    async def _accesses(self, record: Record) -> None:
        customer = record.session.customer
        request = deletions_pb2.ListAccessesRequest(
            parent=f"customers/{customer}", resource=record.name, page_size=1000
        )
        listed = await answered(lambda: self.suite.deletions(customer).ListAccesses(request), "accesses")
        sessions = {one.session for one in listed.accesses if not one.record}  # lists name no record
        assert {one.record for one in listed.accesses} <= {record.name, ""}, "nobody else's"
        assert sessions <= {record.session.name}
        if record.gone is False and max(self.model.latest, self.now) < record.expires:
            seen = Counter(
                one.purpose for one in listed.accesses if one.kind == processing_pb2.ACCESS_KIND_READ
            )
            assert self.model.reads[record.name] <= seen, "every read is listed"

    @rule(newest=st.integers(1, 3))
    @when(lambda self: self.taken % 9 == 5)
    def list_statements(self, newest: int) -> None:
        """Verifies the newest daily statements as an outsider does."""
        self.do("verify statements", self._statements(newest))

    async def _statements(self, newest: int) -> None:
        for document in await self.suite.statements(newest):
            await self.suite.prove(document)
