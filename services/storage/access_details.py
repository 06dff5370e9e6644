"""Accesses sealed and opened: who, why and how many, under the epoch of the record that they are of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.types.v1 import processing_pb2

from services.runtime.clock import Clock
from services.runtime.instants import timestamp
from services.runtime.resources import record_name, session_name
from services.storage import access_flags, ids
from services.storage.associated import Binding
from services.storage.keys import Keyring
from services.storage.store.accesses import LIST, AccessRow
from services.storage.store.records import RecordRow

_KIND = "access"


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads, and why."""

    service: str
    purpose: int
    person: str = ""
    ticket: str = ""


class SessionSeen(NamedTuple):
    """A session that was opened, as `AccessDetails.seal` takes it."""

    day: date
    customer: str
    session: UUID
    record: UUID
    """No record's: it leads to the epoch that the session is sealed under, with which the access dies."""

    @classmethod
    def of(cls, day: date, customer: str, session: UUID) -> SessionSeen:
        """The session, with an id of its epoch."""
        return cls(day, customer, session, ids.new_record_id(day, ids.session_time(session)))


class AccessDetails:
    """Seals accesses and opens them."""

    def __init__(self, keys: Keyring, clock: Clock, deployment: str) -> None:
        self._keys, self._clock, self._deployment = keys, clock, deployment

    async def seal(
        self, row: RecordRow | SessionSeen, reading: Reading, kind: int, count: int = 1
    ) -> AccessRow:
        """The row of an access that happens now, not complete yet; a list's `row` is its last record."""
        now = self._clock.now()
        access = ids.new_access_id(now)
        keys = await self._keys.opening(ids.record_epoch(row.record), _KIND, row.customer, row.record, access)
        details = processing_pb2.Access(
            service=reading.service,
            purpose=processing_pb2.Purpose.ValueType(reading.purpose),
            person=reading.person,
            ticket=reading.ticket,
            kind=processing_pb2.AccessKind.ValueType(kind),
            record_count=count,
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
            kind=kind,
        )

    async def open(self, row: AccessRow) -> processing_pb2.Access | None:
        """The access as the Customer sees it; None when its details have died."""
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
        if not access.kind:  # of the release before
            access.kind, access.record_count = processing_pb2.ACCESS_KIND_READ, 1
        if access.kind != LIST:
            access.record = record_name(row.customer, str(row.session), str(row.record))
        access.session = session_name(row.customer, str(row.session))
        access.access_time.CopyFrom(timestamp(row.access_time))
        access.complete = row.complete
        access.flags.extend(access_flags.named(row.flags or 0))
        return access

    def _binding(self, customer: str, session: UUID, record: UUID) -> bytes:
        epoch = ids.record_epoch(record)
        return Binding(self._deployment, customer, str(session), str(record), _KIND, 0, epoch).encode()
