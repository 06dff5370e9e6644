"""What a Customer may see of its own data without opening it: its records, and who read them."""

from __future__ import annotations

from idv.retention.v1 import deletions_pb2 as pb
from idv.storage.v1 import storage_pb2

from services.retention.storage_gateway import StorageGateway
from services.retention.targets import check_owner
from services.runtime.resources import parse_session


class CustomerView:
    """Passes a Customer's questions on to storage, once each name in them is known to be its own."""

    def __init__(self, storage: StorageGateway) -> None:
        self._storage = storage

    async def records(self, request: pb.ListRecordsRequest) -> pb.ListRecordsResponse:
        """A page of the records of one session or subject. Raises WRONG_TENANT and what storage refuses."""
        asked = storage_pb2.ListRecordsRequest(
            parent=request.parent, page_size=request.page_size, page_token=request.page_token
        )
        if request.WhichOneof("filter") == "session":
            check_owner(request.parent, request.session, "session")
            parse_session(request.session, field="session")
            asked.session = request.session
        else:
            asked.subject = request.subject
        page = await self._storage.records(asked)
        return pb.ListRecordsResponse(records=page.records, next_page_token=page.next_page_token)

    async def accesses(self, request: pb.ListAccessesRequest) -> pb.ListAccessesResponse:
        """A page of the reads of the Customer's records. Raises WRONG_TENANT and what storage refuses."""
        if request.resource:
            check_owner(request.parent, request.resource, "resource")
        page = await self._storage.accesses(
            storage_pb2.ListAccessesRequest(
                parent=request.parent,
                resource=request.resource,
                page_size=request.page_size,
                page_token=request.page_token,
            )
        )
        return pb.ListAccessesResponse(accesses=page.accesses, next_page_token=page.next_page_token)
