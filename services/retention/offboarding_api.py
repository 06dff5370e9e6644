"""The methods of off-boarding: requests translated, and passed on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from idv.retention.v1 import offboarding_pb2 as pb
from idv.retention.v1.offboarding_pb2_grpc import OffboardingServiceServicer

from services.retention.offboarding import Offboardings
from services.retention.offboarding_store import Offboarding
from services.runtime.instants import timestamp
from services.runtime.resources import customer_name, deletion_name, parse_customer


class OffboardingApi(OffboardingServiceServicer):
    """Off-boardings, for the officer."""

    def __init__(self, offboardings: Offboardings) -> None:
        self._offboardings = offboardings

    async def OffboardCustomer(
        self, request: pb.OffboardCustomerRequest, context: Any
    ) -> pb.OffboardCustomerResponse:
        """Off-boards a Customer; see `Offboardings.begin`."""
        customer = parse_customer(request.customer, field="customer")
        found = await self._offboardings.begin(customer, UUID(request.request_id))
        return pb.OffboardCustomerResponse(offboarding=_message(found))

    async def GetOffboarding(
        self, request: pb.GetOffboardingRequest, context: Any
    ) -> pb.GetOffboardingResponse:
        """Describes an off-boarding."""
        found = await self._offboardings.get(parse_customer(request.customer, field="customer"))
        return pb.GetOffboardingResponse(offboarding=_message(found))


def _message(found: Offboarding) -> pb.Offboarding:
    made = pb.Offboarding(
        customer=customer_name(found.tenant), state=found.state, receive_time=timestamp(found.receive_time)
    )
    if found.deletion is not None:
        made.deletion = deletion_name(found.tenant, str(found.deletion))
    if found.close_time is not None:
        made.close_time.CopyFrom(timestamp(found.close_time))
    if found.complete_time is not None:
        made.complete_time.CopyFrom(timestamp(found.complete_time))
    if found.receipt is not None:
        made.receipt.json = found.receipt
        made.receipt.leaf_index = found.leaf_index or 0
    if found.receipt is not None and found.final_time is not None:
        made.receipt.final_time.CopyFrom(timestamp(found.final_time))
    return made
