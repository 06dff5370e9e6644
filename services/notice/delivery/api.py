"""The methods on deliveries: requests translated, and passed on."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from idv.notice.v1 import customers_pb2, deliveries_pb2
from idv.notice.v1 import deliveries_pb2 as pb
from idv.notice.v1.deliveries_pb2_grpc import DeliveryServiceServicer

from services.notice.accounts.accounts import Accounts
from services.notice.calls import fingerprint
from services.notice.delivery.acknowledgement_store import Acknowledgement
from services.notice.delivery.evidence_store import Delivery
from services.notice.delivery.links import message_id
from services.notice.delivery.progress import Deliveries, Progress
from services.notice.messages import stamp
from services.notice.versions import Call
from services.runtime.identity import current_caller
from services.runtime.resources import customer_name, parse_customer

_PAGE: Final = 100
_CHUNK: Final = 1000


class DeliveryApi(DeliveryServiceServicer):
    """Progress, pause and gate for the officer and the approver; and who acknowledged."""

    def __init__(self, deliveries: Deliveries, accounts: Accounts) -> None:
        self._deliveries = deliveries
        self._accounts = accounts

    async def GetDeliveryProgress(
        self, request: pb.GetDeliveryProgressRequest, context: Any
    ) -> pb.GetDeliveryProgressResponse:
        """See `Deliveries.progress`."""
        return pb.GetDeliveryProgressResponse(
            progress=progress(await self._deliveries.progress(request.version))
        )

    async def PauseDelivery(self, request: pb.PauseDeliveryRequest, context: Any) -> pb.PauseDeliveryResponse:
        """See `Deliveries.pause`."""
        done = await self._deliveries.pause(request.version, request.reason, _call("PauseDelivery", request))
        return pb.PauseDeliveryResponse(progress=progress(done))

    async def ResumeDelivery(
        self, request: pb.ResumeDeliveryRequest, context: Any
    ) -> pb.ResumeDeliveryResponse:
        """See `Deliveries.resume`."""
        done = await self._deliveries.resume(request.version, _call("ResumeDelivery", request))
        return pb.ResumeDeliveryResponse(progress=progress(done))

    async def OverrideGate(self, request: pb.OverrideGateRequest, context: Any) -> pb.OverrideGateResponse:
        """See `Deliveries.override`."""
        done = await self._deliveries.override(
            request.version, request.reason, _call("OverrideGate", request)
        )
        return pb.OverrideGateResponse(progress=progress(done))

    async def ListAcknowledgements(
        self, request: pb.ListAcknowledgementsRequest, context: Any
    ) -> pb.ListAcknowledgementsResponse:
        """Goes through all Customers by id; a page ends with a Customer, whole."""
        size = request.page_size or _PAGE
        after = parse_customer(request.page_token, field="page_token") if request.page_token else ""
        found: list[Acknowledgement] = []
        while len(found) < size:
            page = [one.tenant for one in await self._accounts.page(after, _CHUNK)]
            if not page:
                return pb.ListAcknowledgementsResponse(acknowledgements=map(_acknowledgement, found))
            for one in await self._deliveries.acknowledgements(request.version, page):
                if len(found) >= size and one.tenant != found[-1].tenant:
                    break
                found.append(one)
            after = page[-1] if len(found) < size else found[-1].tenant
        return pb.ListAcknowledgementsResponse(
            acknowledgements=map(_acknowledgement, found), next_page_token=customer_name(after)
        )


def progress(of: Progress) -> pb.DeliveryProgress:
    """The progress as a message."""
    counts = of.counts
    return pb.DeliveryProgress(
        version=counts.version,
        total_count=counts.queued + counts.accepted + counts.bounced + counts.failed + counts.covered,
        queued_count=counts.queued,
        accepted_count=counts.accepted,
        bounced_count=counts.bounced,
        failed_count=counts.failed,
        covered_count=counts.covered,
        waiting_count=counts.held,
        pause_time=stamp(counts.pause_time),
        clear_time=stamp(of.clear_time),
        estimated_end_time=stamp(of.estimated_end),
        website_time=stamp(counts.website_time),
    )


def delivery(version: int, of: Delivery, domain: str) -> customers_pb2.Delivery:
    """A delivery as a message; `domain` is the sender's, in its Message-ID."""
    evidence = of.evidence
    return customers_pb2.Delivery(
        customer=customer_name(of.tenant),
        version=version,
        state=of.state,
        reply=evidence.reply if evidence else "",
        state_time=stamp(of.state_time),
        recipient=evidence.recipient if evidence else "",
        attempt_count=of.attempts,
        message_id=message_id(version, of.tenant, evidence.recipient, domain) if evidence else "",
        audience=of.audience,
        create_time=stamp(of.create_time),
    )


def _acknowledgement(of: Acknowledgement) -> deliveries_pb2.Acknowledgement:
    return pb.Acknowledgement(
        customer=customer_name(of.tenant),
        version=of.version,
        kind=of.kind,
        channel=of.channel,
        acknowledge_time=stamp(of.acknowledge_time),
    )


def _call(method: str, request: Any) -> Call:
    return Call(current_caller().name, UUID(request.request_id), fingerprint(method, request))
