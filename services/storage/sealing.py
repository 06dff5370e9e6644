"""From a write as it arrives to a row that holds nothing readable but what may stand in the clear."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.runtime.clock import Clock
from services.runtime.instants import timestamp
from services.runtime.resources import record_name
from services.storage import ids
from services.storage.associated import Binding
from services.storage.days import Days
from services.storage.derivation import SealingKeys
from services.storage.grants import Grant, Grants
from services.storage.instants import received
from services.storage.keys import Keyring
from services.storage.store.records import ACTIVE, RecordRow

KIND = "record"


class Admitted(NamedTuple):
    """A write whose token is good: where its record goes, when it ends, and with what it is sealed."""

    header: storage_pb2.RecordHeader
    grant: Grant
    record: UUID
    receive_time: datetime
    expire_time: datetime
    keys: SealingKeys
    associated: bytes


class Sealer:
    """Admits and seals records."""

    def __init__(self, keys: Keyring, days: Days, grants: Grants, clock: Clock, deployment: str) -> None:
        self._keys, self._days, self._grants, self._clock = keys, days, grants, clock
        self._deployment = deployment

    async def admit(self, header: storage_pb2.RecordHeader) -> Admitted:
        """Checks a write by itself; the session's own state is checked in the transaction that writes.

        Raises UNAUTHENTICATED, CREDENTIAL_EXPIRED, ITEM_NOT_REQUESTED, TIME_OUT_OF_RANGE, WRONG_STATE,
        EXPIRED.
        """
        grant = self._grants.of(header.session_token)
        grant.check_category(header.category)
        when = received(header.receive_time, self._clock.now(), field="receive_time")
        await self._days.fix_term(grant.day, header.retention_days)
        try:
            record = ids.new_record_id(grant.day, when)
            epoch = ids.record_epoch(record)
        except ValueError:
            raise _closed() from None
        keys = await self._keys.sealing(epoch, KIND, grant.customer, grant.session, record)
        binding = Binding(
            *(self._deployment, grant.customer, str(grant.session), str(record), header.category),
            *(header.notice_version, epoch),
        )
        expires = when + await self._days.term(grant.day)
        return Admitted(header, grant, record, when, expires, keys, binding.encode())

    async def small(self, write: storage_pb2.RecordWrite) -> RecordRow:
        """The row of a small record, its body sealed in it."""
        admitted = await self.admit(write.header)
        digest = hashlib.sha256(write.body).digest()
        sealed = admitted.keys.seal(write.body, admitted.associated)
        return await self.row(admitted, digest=digest, size=len(write.body), body=sealed)

    async def row(
        self, admitted: Admitted, *, digest: bytes, size: int, body: bytes, name: str | None = None
    ) -> RecordRow:
        """The row of a record: `body` is sealed already; `digest` enters keyed, and only to recognise a
        repeat.
        """
        header, grant = admitted.header, admitted.grant
        day_key = await self._keys.day_key(grant.day)
        own = (
            *(grant.session.bytes, header.category.encode(), header.media_type.encode(), header.description),
            header.submission_sha256,
        )
        opening = storage_pb2.RecordOpening(
            record=processing_pb2.Record(source=header.source, size_bytes=size, media_type=header.media_type),
            description=header.description,
        )
        return RecordRow(
            day=grant.day,
            customer=grant.customer,
            session=grant.session,
            record=admitted.record,
            request_id=UUID(header.request_id),
            request_mac=day_key.content(grant.customer, *own, bytes([header.source]), digest),
            category=header.category,
            notice_version=header.notice_version,
            receive_time=admitted.receive_time,
            expire_time=admitted.expire_time,
            size_class=size.bit_length(),
            state=ACTIVE,
            object=name,
            commitment=admitted.keys.commitment,
            details=admitted.keys.seal_details(opening.SerializeToString(), admitted.associated),
            body=body,
            asked=grant.asked(header.category),
        )


class Opener:
    """Opens records, for reads and lists."""

    def __init__(self, keys: Keyring, deployment: str) -> None:
        self._keys, self._deployment = keys, deployment

    async def keys(self, row: RecordRow) -> tuple[SealingKeys, bytes]:
        """The record's keys, its commitment checked, and its associated data. Raises EXPIRED,
        BodyRefusedError.
        """
        epoch = ids.record_epoch(row.record)
        keys = await self._keys.opening(epoch, KIND, row.customer, row.session, row.record)
        keys.commits_to(row.commitment)
        binding = Binding(
            *(self._deployment, row.customer, str(row.session), str(row.record), row.category),
            *(row.notice_version, epoch),
        )
        return keys, binding.encode()

    async def warm(self, record: UUID) -> None:
        """See `Keyring.warm`; for the record of this id."""
        await self._keys.warm(ids.record_epoch(record))

    async def describe(self, row: RecordRow) -> storage_pb2.RecordOpening:
        """The record's description, with what stands in the clear filled in."""
        return opened(row, *await self.keys(row))


def opened(row: RecordRow, keys: SealingKeys, associated: bytes) -> storage_pb2.RecordOpening:
    """The record's description, opened with its keys; raises BodyRefusedError."""
    opening = storage_pb2.RecordOpening.FromString(keys.open_details(row.details or b"", associated))
    fill(opening.record, row)
    return opening


def described(row: RecordRow, header: storage_pb2.RecordHeader, size: int) -> processing_pb2.Record:
    """The description of a record that was sealed just now, without opening it."""
    record = processing_pb2.Record(source=header.source, size_bytes=size, media_type=header.media_type)
    fill(record, row)
    return record


def fill(record: processing_pb2.Record, row: RecordRow) -> None:
    """Completes a description by what the row says in the clear."""
    record.name = record_name(row.customer, str(row.session), str(row.record))
    record.category = row.category
    record.receive_time.CopyFrom(timestamp(row.receive_time))
    record.expire_time.CopyFrom(timestamp(row.expire_time))
    record.notice_version = row.notice_version
    record.state = processing_pb2.RecordState.ValueType(row.state)


def _closed() -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_SESSION_CLOSED, "the session takes no more data", remedy="open a new session"
    )
