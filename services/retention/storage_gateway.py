"""What retention asks of the storage service, over its generated client."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from idv.storage.v1 import storage_pb2 as pb
from idv.storage.v1.storage_pb2_grpc import StorageServiceStub
from idv.types.v1 import processing_pb2

from services.retention.targets import Target, for_storage
from services.runtime import calls
from services.runtime.resources import customer_name

_READ_SECONDS: Final = 3600.0
"""For how long one record may be read: as fast as whoever takes the export."""
_SHARE: Final = 0.8
"""The part of its caller's time that an erasure may take: the rest is to say that it goes on by itself."""


@dataclass(frozen=True)
class Erasure:
    """What storage erased: counts, when the last of it became unreadable, and what its key authority claims.

    `final_time` is when no copy that the suite controls can be opened any more.
    """

    record_count: int
    session_count: int
    object_count: int
    erase_time: datetime
    final_time: datetime
    claim: str
    running: bool = False
    days_done: int = 0
    days_total: int = 0


class StorageGateway:
    """Calls storage on `channel`, which raises what storage refuses, and its absence, as IdvError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = StorageServiceStub(channel)

    async def erase(
        self, customer: str, deletion: UUID, target: Target, *, begun_only: bool = False
    ) -> Erasure:
        """Erases a target such as `{"subject": "..."}`; a repeat under the same id answers the same.

        While the answer is `running`, a repeat goes on. `begun_only`: nothing that has not begun does.
        """
        request = pb.EraseRecordsRequest(
            parent=customer_name(customer),
            request_id=str(deletion),
            target=for_storage(target),
            begun_only=begun_only,
        )
        left = calls.remaining()
        limit: dict[str, Any] = {} if left is None else {"timeout": left * _SHARE}
        answer = await self._stub.EraseRecords(request, **limit)
        return Erasure(
            record_count=answer.record_count,
            session_count=answer.session_count,
            object_count=answer.object_count,
            erase_time=_time(answer.erase_time),
            final_time=_time(answer.final_time),
            claim=answer.claim,
            running=answer.running,
            days_done=answer.days_done,
            days_total=answer.days_total,
        )

    async def preview(self, customer: str, target: Target) -> tuple[int, int]:
        """How many records and sessions a target concerns now."""
        request = pb.PreviewErasureRequest(parent=customer_name(customer), target=for_storage(target))
        answer = await self._stub.PreviewErasure(request)
        return answer.record_count, answer.session_count

    async def restrict(self, request: pb.SetRestrictionRequest) -> pb.SetRestrictionResponse:
        """Sets or lifts a restriction."""
        return await self._stub.SetRestriction(request)

    async def opt_out(self, request: pb.SetOptOutRequest) -> pb.SetOptOutResponse:
        """Records or lifts an opt-out."""
        return await self._stub.SetOptOut(request)

    async def destructions(self, after: int, limit: int) -> list[pb.Destruction]:
        """What was destroyed at the end of its term, in order, from the one after `after` on."""
        answer = await self._stub.ListDestructions(pb.ListDestructionsRequest(after=after, page_size=limit))
        return list(answer.destructions)

    async def inspect_terms(self, since: datetime | None) -> pb.InspectTermsResponse:
        """Figures of what is held, and whether anything past its term can be read; new ones since `since`."""
        request = pb.InspectTermsRequest()
        if since is not None:
            request.since_time.FromDatetime(since)
        return await self._stub.InspectTerms(request)

    async def records(self, request: pb.ListRecordsRequest) -> pb.ListRecordsResponse:
        """A page of a Customer's records, not opened."""
        return await self._stub.ListRecords(request)

    async def sessions(self, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        """A page of a Customer's sessions, opened."""
        return await self._stub.ListSessions(request)

    def read(self, record: str) -> grpc.aio.UnaryStreamCall[Any, pb.ReadRecordResponse]:
        """Reads a record for the support of rights: its opening, then its body in chunks."""
        request = pb.ReadRecordRequest(name=record, purpose=processing_pb2.PURPOSE_RIGHTS_SUPPORT)
        return self._stub.ReadRecord(request, timeout=_READ_SECONDS)

    async def session(self, name: str) -> processing_pb2.Session:
        """A session, not opened."""
        return (await self._stub.GetSession(pb.GetSessionRequest(name=name))).session

    async def record(self, name: str) -> processing_pb2.Record:
        """A record, not opened."""
        request = pb.GetRecordRequest(name=name, purpose=processing_pb2.PURPOSE_RIGHTS_SUPPORT)
        return (await self._stub.GetRecord(request)).record

    async def correct(self, request: pb.CorrectRecordRequest) -> pb.CorrectRecordResponse:
        """Puts a corrected record in the place of a wrong one."""
        return await self._stub.CorrectRecord(request)

    async def accesses(self, request: pb.ListAccessesRequest) -> pb.ListAccessesResponse:
        """A page of the reads of a Customer's records."""
        return await self._stub.ListAccesses(request)

    async def follow(self, request: pb.FollowAccessesRequest) -> pb.FollowAccessesResponse:
        """The accesses after a position, in order."""
        return await self._stub.FollowAccesses(request)

    async def access_totals(self, request: pb.ListAccessTotalsRequest) -> pb.ListAccessTotalsResponse:
        """A page of totals of accesses."""
        return await self._stub.ListAccessTotals(request)


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
