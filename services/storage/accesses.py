"""The access log: every read of a record, for the Customer who owns it. Who and why dies with the record's
epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.resources import parse_customer, parse_record, parse_session, record_name
from services.storage import ids, pages
from services.storage.associated import Binding
from services.storage.instants import timestamp
from services.storage.keys import Keyring
from services.storage.store import accesses as store
from services.storage.store.accesses import AccessRow
from services.storage.store.records import RecordRow

_KIND = "access"


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads, and why."""

    service: str
    purpose: int
    person: str = ""
    ticket: str = ""


class AccessLog:
    """Seals reads and lists them."""

    def __init__(self, database: Database, keys: Keyring, clock: Clock, deployment: str) -> None:
        self._database, self._keys, self._clock = database, keys, clock
        self._deployment = deployment

    async def seal(self, row: RecordRow, reading: Reading) -> AccessRow:
        """The row for a read that happens now, not complete yet."""
        now = self._clock.now()
        access = ids.new_access_id(now)
        keys = await self._keys.opening(ids.record_epoch(row.record), _KIND, row.customer, row.record, access)
        details = processing_pb2.Access(
            service=reading.service,
            purpose=processing_pb2.Purpose.ValueType(reading.purpose),
            person=reading.person,
            ticket=reading.ticket,
        )
        associated = self._binding(row.customer, row.session, row.record)
        return AccessRow(
            day=row.day,
            customer=row.customer,
            session=row.session,
            record=row.record,
            access=access,
            access_time=now,
            complete=False,
            commitment=keys.commitment,
            details=keys.seal_details(details.SerializeToString(), associated),
        )

    async def list(self, request: storage_pb2.ListAccessesRequest) -> storage_pb2.ListAccessesResponse:
        """A page of a Customer's reads, the newest first; one whose details have died is not listed."""
        customer = parse_customer(request.parent, field="parent")
        only = _only(request.resource, customer)
        before = pages.decode(request.page_token)
        size = request.page_size or pages.DEFAULT_SIZE
        async with self._database.transaction([customer]) as connection:
            rows = await store.page(connection, customer, only, before, size)
        answer = storage_pb2.ListAccessesResponse()
        for row in rows:
            access = await self._open(row)
            if access is not None:
                answer.accesses.append(access)
        if len(rows) == size:
            answer.next_page_token = pages.encode(rows[-1].access_time, rows[-1].access)
        return answer

    async def _open(self, row: AccessRow) -> processing_pb2.Access | None:
        epoch = ids.record_epoch(row.record)
        try:
            keys = await self._keys.opening(epoch, _KIND, row.customer, row.record, row.access)
        except IdvError as error:
            if error.reason != Reason.ERROR_REASON_EXPIRED:
                raise
            return None
        keys.commits_to(row.commitment)
        associated = self._binding(row.customer, row.session, row.record)
        access = processing_pb2.Access.FromString(keys.open_details(row.details, associated))
        access.record = record_name(row.customer, str(row.session), str(row.record))
        access.access_time.CopyFrom(timestamp(row.access_time))
        access.complete = row.complete
        return access

    def _binding(self, customer: str, session: UUID, record: UUID) -> bytes:
        epoch = ids.record_epoch(record)
        return Binding(self._deployment, customer, str(session), str(record), _KIND, 0, epoch).encode()


def _only(resource: str, customer: str) -> tuple[date, UUID, UUID | None] | None:
    """What the list is limited to: a session or a record, by its place."""
    if not resource:
        return None
    if "/records/" in resource:
        name = parse_record(resource, field="resource")
        owner, session, record = name.customer, UUID(name.session), UUID(name.record)
    else:
        named = parse_session(resource, field="resource")
        owner, session, record = named.customer, UUID(named.session), None
    if owner != customer:
        raise IdvError(
            Reason.ERROR_REASON_WRONG_TENANT, "resource belongs to another Customer", field="resource"
        )
    try:
        return ids.session_day(session), session, record
    except ValueError:
        raise IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such session") from None
