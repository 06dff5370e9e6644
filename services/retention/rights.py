"""The methods on rights: knowing, correcting, limiting, opting out; end users' own requests are relayed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, NoReturn
from uuid import UUID

from idv.retention.v1 import rights_pb2 as pb
from idv.retention.v1.rights_pb2_grpc import RightsServiceServicer
from idv.storage.v1 import storage_pb2

from services.retention.corrections import Corrections
from services.retention.exports import Exports
from services.retention.messages import PAGE, before
from services.retention.relay_store import Relay
from services.retention.relays import Relays, state
from services.retention.storage_gateway import StorageGateway
from services.runtime.instants import timestamp
from services.runtime.resources import parse_customer, parse_relay, relay_name


class RightsApi(RightsServiceServicer):
    """Exports, corrections, restriction, opting out and relays."""

    def __init__(
        self, relays: Relays, storage: StorageGateway, exports: Exports, corrections: Corrections
    ) -> None:
        self._relays = relays
        self._storage = storage
        self._exports = exports
        self._corrections = corrections

    async def ExportSubject(
        self, request: pb.ExportSubjectRequest, context: Any
    ) -> AsyncIterator[pb.ExportSubjectResponse]:
        """Streams what is held on a subject; see `Exports.stream`."""
        customer = parse_customer(request.parent, field="parent")
        target = {"subject": request.subject}
        parts = self._exports.stream(customer, UUID(request.request_id), target, request.offset)
        async with aclosing(parts):
            async for part in parts:
                yield pb.ExportSubjectResponse(**part._asdict())

    async def ExportCustomer(
        self, request: pb.ExportCustomerRequest, context: Any
    ) -> AsyncIterator[pb.ExportCustomerResponse]:
        """Streams all that is held for a Customer; see `Exports.stream`."""
        customer = parse_customer(request.parent, field="parent")
        target = {"everything": "true"}
        parts = self._exports.stream(customer, UUID(request.request_id), target, request.offset)
        async with aclosing(parts):
            async for part in parts:
                yield pb.ExportCustomerResponse(**part._asdict())

    async def CorrectRecord(self, request: pb.CorrectRecordRequest, context: Any) -> pb.CorrectRecordResponse:
        """Replaces a wrong record by a corrected one; see `Corrections.correct`."""
        record, deletion = await self._corrections.correct(request)
        return pb.CorrectRecordResponse(record=record, deletion=deletion)

    async def SetRestriction(
        self, request: pb.SetRestrictionRequest, context: Any
    ) -> pb.SetRestrictionResponse:
        """Restricts the processing of a subject's data, or lifts it, in storage."""
        answer = await self._storage.restrict(
            storage_pb2.SetRestrictionRequest(
                parent=request.parent,
                request_id=request.request_id,
                subject=request.subject,
                restricted=request.restricted,
                reason=request.reason,
            )
        )
        made = pb.SetRestrictionResponse(record_count=answer.record_count)
        if answer.HasField("expire_time"):
            made.expire_time.CopyFrom(answer.expire_time)
        return made

    async def SetOptOut(self, request: pb.SetOptOutRequest, context: Any) -> pb.SetOptOutResponse:
        """Stops collection for a subject, or allows it again, in storage."""
        answer = await self._storage.opt_out(
            storage_pb2.SetOptOutRequest(
                parent=request.parent,
                request_id=request.request_id,
                subject=request.subject,
                items=request.items,
                opted_out=request.opted_out,
            )
        )
        made = pb.SetOptOutResponse()
        if answer.HasField("opt_out_time"):
            made.opt_out_time.CopyFrom(answer.opt_out_time)
        return made

    async def RelayEndUserRequest(self, request: pb.RelayEndUserRequestRequest, context: Any) -> NoReturn:
        """Always ends with END_USER_REQUEST_REFUSED; see `Relays.enter`."""
        customer = parse_customer(request.parent, field="parent")
        raise await self._relays.enter(customer, UUID(request.request_id), request.kind)

    async def ListRelays(self, request: pb.ListRelaysRequest, context: Any) -> pb.ListRelaysResponse:
        """Lists relayed requests, the newest first."""
        customer = parse_customer(request.parent, field="parent")
        limit = request.page_size or PAGE
        page = await self._relays.page(customer, limit + 1, before(request.page_token))
        token = str(page[limit - 1].relay) if len(page) > limit else ""
        return pb.ListRelaysResponse(relays=map(_message, page[:limit]), next_page_token=token)

    async def ResolveRelay(self, request: pb.ResolveRelayRequest, context: Any) -> pb.ResolveRelayResponse:
        """Marks a relayed request as answered; a repeat changes nothing."""
        customer, relay = parse_relay(request.name, field="name")
        return pb.ResolveRelayResponse(relay=_message(await self._relays.resolve(customer, UUID(relay))))


def _message(relay: Relay) -> pb.Relay:
    message = pb.Relay(
        name=relay_name(relay.tenant, str(relay.relay)),
        kind=relay.kind,
        case_number=relay.case_number,
        receive_time=timestamp(relay.receive_time),
        due_time=timestamp(relay.due_time),
        state=state(relay),
    )
    if relay.resolve_time is not None:
        message.resolve_time.CopyFrom(timestamp(relay.resolve_time))
    if relay.remind_time is not None:
        message.remind_time.CopyFrom(timestamp(relay.remind_time))
    return message
