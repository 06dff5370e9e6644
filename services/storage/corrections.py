"""Correction: a new record takes the place of a wrong one, which is unreadable from the same instant on.

Both happen in one transaction, under the lock that erasures take: whoever comes first, another correction, a
deletion or the end of the term, the other finds what it left. The new record is received, and ends, when the
wrong one did: a correction extends no term. The wrong one's bytes go as those of any erasure.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.instants import timestamp
from services.runtime.resources import RecordName, parse_record
from services.storage import ids
from services.storage.associated import Binding
from services.storage.days import Days
from services.storage.erasure import Erasure
from services.storage.keys import Keyring
from services.storage.reader import not_found, place
from services.storage.sealing import KIND, Opener
from services.storage.store import erasures as erasure_store
from services.storage.store import locks
from services.storage.store import records as store
from services.storage.store.driver import driver
from services.storage.store.erasures import ErasureRow, Step
from services.storage.store.records import Found, RecordRow
from services.storage.store.sessions import ACTIVE as SESSION_ACTIVE

TYPED_ITEMS = "application/x-protobuf"
"""The media type of what can be corrected."""


class Corrections:
    """Corrects records of typed items."""

    def __init__(
        self,
        database: Database,
        keys: Keyring,
        days: Days,
        opener: Opener,
        erasure: Erasure,
        clock: Clock,
        deployment: str,
    ) -> None:
        self._database, self._keys, self._days, self._opener = database, keys, days, opener
        self._erasure, self._clock, self._deployment = erasure, clock, deployment

    async def correct(self, request: storage_pb2.CorrectRecordRequest) -> storage_pb2.CorrectRecordResponse:
        """Puts the corrected record in place; a repeat returns the first answer.

        Raises NOT_FOUND, EXPIRED, ERASED (also where another correction came first), REQUEST_ID_REUSED,
        INVALID_ARGUMENT for an image or document, and WRONG_STATE where the deletion's id was given up.
        """
        name = parse_record(request.name, field="name")
        day, session, record = place(name)
        async with self._database.transaction([name.customer]) as connection:
            found = await store.read(await driver(connection), day, session, record)
        if found is None:
            raise not_found()
        fresh = await self._corrected(name, found.row, request)
        erasure = await self._begun(name, found.row, UUID(request.deletion))
        async with self._database.transaction([name.customer]) as connection:
            on_driver = await driver(connection)
            await locks.request(connection, name.customer, fresh.request_id)
            await locks.request(connection, name.customer, erasure.erasure)
            await locks.day_for_erasing(connection, day)
            first = (await store.find_repeated(on_driver, [fresh])).get((session, fresh.request_id))
            deletion = await erasure_store.of_record(connection, day, session, record)
            if first is None:
                await _check_begins(connection, erasure)
                await self._check(await store.read(on_driver, day, session, record), request.category)
                await store.add(on_driver, [fresh])
                await erasure_store.add(connection, erasure)
                await erasure_store.fence_record(connection, erasure.erasure, day, session, record)
                deletion = erasure.erasure
        if first is not None:
            _compare(first, fresh)
        row = first or fresh
        return storage_pb2.CorrectRecordResponse(
            record=(await self._opener.describe(row)).record, deletion=str(deletion)
        )

    async def _corrected(
        self, name: RecordName, wrong: RecordRow, request: storage_pb2.CorrectRecordRequest
    ) -> RecordRow:
        record = ids.new_record_id(wrong.day, wrong.receive_time)
        epoch = ids.record_epoch(record)
        keys = await self._keys.opening(epoch, KIND, wrong.customer, wrong.session, record)
        associated = Binding(
            *(self._deployment, wrong.customer, str(wrong.session), str(record), wrong.category),
            *(wrong.notice_version, epoch),
        ).encode()
        opening = storage_pb2.RecordOpening(
            record=processing_pb2.Record(
                source=processing_pb2.SOURCE_CUSTOMER,
                size_bytes=len(request.body),
                media_type=TYPED_ITEMS,
                supersedes=request.name,
                correct_time=timestamp(self._clock.now()),
            )
        )
        digest = hashlib.sha256(request.body).digest()
        day_key = await self._keys.day_key(wrong.day)
        return replace(
            wrong,
            record=record,
            request_id=UUID(request.request_id),
            request_mac=day_key.content(name.customer, b"correction", wrong.record.bytes, digest),
            size_class=len(request.body).bit_length(),
            state=store.ACTIVE,
            object=None,
            commitment=keys.commitment,
            details=keys.seal_details(opening.SerializeToString(), associated),
            body=keys.seal(request.body, associated),
        )

    async def _begun(self, name: RecordName, wrong: RecordRow, deletion: UUID) -> ErasureRow:
        """The erasure of the wrong record, its fence up: what is left of it is the bytes."""
        target = storage_pb2.ErasureTarget(
            record=f"customers/{name.customer}/sessions/{name.session}/records/{name.record}"
        )
        intent = await self._erasure.drafted(name.customer, deletion, target)
        due = ids.record_epoch(wrong.record).due(await self._days.term(wrong.day))
        return replace(
            *(intent,),
            step=Step.FENCED,
            record_count=1,
            erase_time=intent.request_time,
            final_time=max(due, intent.request_time),
        )

    async def _check(self, found: Found | None, category: str) -> None:
        if found is None:
            raise not_found()
        row = found.row
        if row.state != store.ACTIVE or found.session_state != SESSION_ACTIVE or found.fenced:
            raise IdvError(
                Reason.ERROR_REASON_ERASED,
                "the record was erased at the Customer's request, or corrected already",
                field="name",
                remedy="list the records, and correct the one that supersedes it",
            )
        if row.expire_time <= self._clock.now():
            raise IdvError(Reason.ERROR_REASON_EXPIRED, "the record's term has ended", field="name")
        if (await self._opener.describe(row)).record.media_type != TYPED_ITEMS:
            raise uncorrectable()
        if row.category != category:
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                f"the wrong record is of {row.category}, the items of {category}",
                field="items",
                remedy="send the whole corrected message of the wrong record's category",
            )


def uncorrectable() -> IdvError:
    """The answer for an image or document: what it shows cannot be replaced by items."""
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        "an image or document is not corrected by items",
        field="name",
        remedy="delete the record, and collect a right one in a new session",
    )


async def _check_begins(connection: AsyncConnection, erasure: ErasureRow) -> None:
    if await erasure_store.find(connection, erasure.customer, erasure.erasure) is not None:
        raise IdvError(
            Reason.ERROR_REASON_WRONG_STATE,
            "the correction was given up before it began",
            field="deletion",
            remedy="correct the record under a new deletion id",
        )


def _compare(first: RecordRow, again: RecordRow) -> None:
    if first.state != store.ACTIVE or first.request_mac is None:
        raise IdvError(
            Reason.ERROR_REASON_ERASED, "the corrected record was erased at the Customer's request"
        )
    if not hmac.compare_digest(first.request_mac, again.request_mac or b""):
        raise IdvError(
            Reason.ERROR_REASON_REQUEST_ID_REUSED,
            "the request id was used before for another correction",
            field="request_id",
            remedy="use a new UUID for each new correction",
        )
