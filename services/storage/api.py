"""The servicer: translates between the contract and the domain, and delegates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2, storage_pb2_grpc

from services.runtime.database import Database
from services.runtime.identity import current_caller
from services.runtime.instants import timestamp
from services.runtime.resources import parse_record, parse_session
from services.storage import pages
from services.storage.access_details import Reading
from services.storage.accesses import AccessLog
from services.storage.corrections import Corrections
from services.storage.erasure import Erasure
from services.storage.inspection import Inspection
from services.storage.listing import Listing
from services.storage.opt_outs import OptOuts
from services.storage.preview import Preview
from services.storage.reader import Reader
from services.storage.restrictions import Restrictions
from services.storage.sealing import Opener, Sealer, described
from services.storage.session_listing import SessionListing
from services.storage.sessions import Sessions
from services.storage.store import keys as key_store
from services.storage.store.erasures import Step
from services.storage.uploads import Uploads
from services.storage.writer import Writer


@dataclass(frozen=True, slots=True)
class Parts:
    """The domain operations that the servicer delegates to."""

    database: Database
    sessions: Sessions
    sealer: Sealer
    writer: Writer
    uploads: Uploads
    opener: Opener
    reader: Reader
    listing: Listing
    session_listing: SessionListing
    corrections: Corrections
    accesses: AccessLog
    erasure: Erasure
    preview: Preview
    restrictions: Restrictions
    opt_outs: OptOuts
    inspection: Inspection
    claim: str


class StorageServicer(storage_pb2_grpc.StorageServiceServicer):
    """`idv.storage.v1.StorageService`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def CreateSession(
        self, request: storage_pb2.CreateSessionRequest, context: Any
    ) -> storage_pb2.CreateSessionResponse:
        """See the contract."""
        return storage_pb2.CreateSessionResponse(session=await self._parts.sessions.create(request))

    async def GetSession(
        self, request: storage_pb2.GetSessionRequest, context: Any
    ) -> storage_pb2.GetSessionResponse:
        """See the contract."""
        name = parse_session(request.name, field="name")
        return storage_pb2.GetSessionResponse(session=await self._parts.sessions.get(name))

    async def WriteRecords(
        self, request: storage_pb2.WriteRecordsRequest, context: Any
    ) -> storage_pb2.WriteRecordsResponse:
        """See the contract."""
        if len(request.writes) == 1:  # a lone write needs no task of its own
            return storage_pb2.WriteRecordsResponse(outcomes=[await self._write(request.writes[0])])
        outcomes = await asyncio.gather(*(self._write(write) for write in request.writes))
        return storage_pb2.WriteRecordsResponse(outcomes=outcomes)

    async def _write(self, write: storage_pb2.RecordWrite) -> storage_pb2.WriteOutcome:
        try:
            row = await self._parts.sealer.small(write)
            written = await self._parts.writer.write(row)
            if written is row:
                record = described(row, write.header, len(write.body))
            else:
                record = (await self._parts.opener.describe(written)).record
        except IdvError as error:
            return storage_pb2.WriteOutcome(error=error.to_status())
        return storage_pb2.WriteOutcome(record=record)

    async def WriteObject(
        self, request_iterator: AsyncIterator[storage_pb2.WriteObjectRequest], context: Any
    ) -> storage_pb2.WriteObjectResponse:
        """See the contract."""
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("header"):
            raise _out_of_order("the first message is the header")
        row = await self._parts.uploads.write(first.header, _chunks(request_iterator))
        return storage_pb2.WriteObjectResponse(record=(await self._parts.opener.describe(row)).record)

    async def GetRecord(
        self, request: storage_pb2.GetRecordRequest, context: Any
    ) -> storage_pb2.GetRecordResponse:
        """See the contract."""
        name = parse_record(request.name, field="name")
        return storage_pb2.GetRecordResponse(
            record=await self._parts.reader.describe(name, _reading(request))
        )

    async def ReadRecord(
        self, request: storage_pb2.ReadRecordRequest, context: Any
    ) -> AsyncIterator[storage_pb2.ReadRecordResponse]:
        """See the contract."""
        name = parse_record(request.name, field="name")
        opened = await self._parts.reader.open(name, _reading(request))
        yield storage_pb2.ReadRecordResponse(opening=opened.opening)
        async with aclosing(opened.chunks) as chunks:
            async for chunk in chunks:
                yield storage_pb2.ReadRecordResponse(chunk=chunk)

    async def ListRecords(
        self, request: storage_pb2.ListRecordsRequest, context: Any
    ) -> storage_pb2.ListRecordsResponse:
        """See the contract."""
        return await self._parts.listing.page(request, _reading(request))

    async def ListSessions(
        self, request: storage_pb2.ListSessionsRequest, context: Any
    ) -> storage_pb2.ListSessionsResponse:
        """See the contract."""
        return await self._parts.session_listing.page(request, _reading(request))

    async def CorrectRecord(
        self, request: storage_pb2.CorrectRecordRequest, context: Any
    ) -> storage_pb2.CorrectRecordResponse:
        """See the contract."""
        return await asyncio.shield(self._parts.corrections.correct(request))

    async def EraseRecords(
        self, request: storage_pb2.EraseRecordsRequest, context: Any
    ) -> storage_pb2.EraseRecordsResponse:
        """See the contract."""
        # Once begun, an erasure goes on when its caller leaves.
        row = await asyncio.shield(self._parts.erasure.erase(request))
        answer = storage_pb2.EraseRecordsResponse(
            record_count=row.record_count,
            session_count=row.session_count,
            object_count=row.object_count,
            claim=self._parts.claim,
            running=row.step != Step.DONE,
            days_done=row.days_done or 0,
            days_total=row.days_total or 0,
        )
        if row.erase_time and row.final_time:
            answer.erase_time.CopyFrom(timestamp(row.erase_time))
            answer.final_time.CopyFrom(timestamp(row.final_time))
        return answer

    async def PreviewErasure(
        self, request: storage_pb2.PreviewErasureRequest, context: Any
    ) -> storage_pb2.PreviewErasureResponse:
        """See the contract."""
        return await self._parts.preview.count(request)

    async def ListAccesses(
        self, request: storage_pb2.ListAccessesRequest, context: Any
    ) -> storage_pb2.ListAccessesResponse:
        """See the contract."""
        return await self._parts.accesses.list(request)

    async def FollowAccesses(
        self, request: storage_pb2.FollowAccessesRequest, context: Any
    ) -> storage_pb2.FollowAccessesResponse:
        """See the contract."""
        return await self._parts.accesses.follow(request)

    async def ListAccessTotals(
        self, request: storage_pb2.ListAccessTotalsRequest, context: Any
    ) -> storage_pb2.ListAccessTotalsResponse:
        """See the contract."""
        return await self._parts.accesses.totals(request)

    async def ListDestructions(
        self, request: storage_pb2.ListDestructionsRequest, context: Any
    ) -> storage_pb2.ListDestructionsResponse:
        """See the contract."""
        size = request.page_size or pages.DEFAULT_SIZE
        async with self._parts.database.transaction() as connection:
            rows = await key_store.list_destructions(connection, request.after, size)
        return storage_pb2.ListDestructionsResponse(destructions=[_destruction(row) for row in rows])

    async def InspectTerms(
        self, request: storage_pb2.InspectTermsRequest, context: Any
    ) -> storage_pb2.InspectTermsResponse:
        """See the contract."""
        return await self._parts.inspection.inspect(request)

    async def SetRestriction(
        self, request: storage_pb2.SetRestrictionRequest, context: Any
    ) -> storage_pb2.SetRestrictionResponse:
        """See the contract."""
        return await asyncio.shield(self._parts.restrictions.set(request))

    async def SetOptOut(
        self, request: storage_pb2.SetOptOutRequest, context: Any
    ) -> storage_pb2.SetOptOutResponse:
        """See the contract."""
        return await asyncio.shield(self._parts.opt_outs.set(request))


def _reading(
    request: storage_pb2.GetRecordRequest
    | storage_pb2.ReadRecordRequest
    | storage_pb2.ListRecordsRequest
    | storage_pb2.ListSessionsRequest,
) -> Reading:
    return Reading(current_caller().name, request.purpose, request.person, request.ticket)


async def _chunks(messages: AsyncIterator[storage_pb2.WriteObjectRequest]) -> AsyncIterator[bytes]:
    async for message in messages:
        if not message.HasField("chunk"):
            raise _out_of_order("only the first message carries the header")
        yield message.chunk


def _destruction(row: key_store.Destruction) -> storage_pb2.Destruction:
    return storage_pb2.Destruction(
        sequence=row.sequence,
        kind=storage_pb2.DestructionKind.ValueType(row.kind),
        day=row.day.isoformat(),
        slot=row.slot if row.kind == storage_pb2.DESTRUCTION_KIND_KEY else 0,
        due_time=timestamp(row.due_time),
        destroy_time=timestamp(row.destroy_time),
        record_count=row.record_count,
    )


def _out_of_order(message: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT, message, field="part", remedy="send the header, then chunks"
    )
