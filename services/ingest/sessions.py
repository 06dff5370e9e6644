"""Opens sessions: an attestation that holds is sealed in storage, and that is the session."""

from __future__ import annotations

from datetime import datetime, timedelta

from idv.ingest.v1 import ingest_pb2
from idv.storage.v1 import storage_pb2, storage_pb2_grpc
from idv.types.v1 import processing_pb2

from services.ingest import attestation
from services.ingest.admission import Admission
from services.ingest.terms import LiveTerms
from services.runtime.instants import timestamp


class Sessions:
    """Creates and describes sessions. `attestation_age` is the age beyond which an attestation is stale."""

    def __init__(
        self,
        storage: storage_pb2_grpc.StorageServiceAsyncStub,
        terms: LiveTerms,
        admission: Admission,
        *,
        attestation_age: timedelta,
        open_seconds: int,
    ) -> None:
        self._storage = storage
        self._terms = terms
        self._admission = admission
        self._attestation_age = attestation_age
        self._open_seconds = open_seconds

    async def create(
        self, request: ingest_pb2.CreateSessionRequest, received: datetime
    ) -> processing_pb2.Session:
        """The session, or the first one made under this request id.

        Raises ATTESTATION_MISSING, ATTESTATION_STALE, TIME_OUT_OF_RANGE, ITEM_NOT_ATTESTED,
        ITEM_NOT_IN_NOTICE, TERMS_UNKNOWN, and what storage refuses (REQUEST_ID_REUSED, OPTED_OUT, ERASED).
        """
        request.DiscardUnknownFields()  # the attestation is kept as it came: nothing undisclosed may be in it
        terms = self._terms.in_force(received)
        shown = attestation.check(
            request.attestation if request.HasField("attestation") else None,
            request.items,
            now=received,
            oldest=self._attestation_age,
            shown_at=self._terms.shown,
        )
        items = self._admission.session_items(request.items, request.attestation.items, terms, shown)
        response = await self._storage.CreateSession(
            storage_pb2.CreateSessionRequest(
                parent=request.parent,
                request_id=request.request_id,
                subject=request.subject,
                attestation=request.attestation,
                items=items,
                notice_version=terms.version,
                retention_days=terms.retention_days,
                purposes=terms.purposes,
                receive_time=timestamp(received),
                open_seconds=self._open_seconds,
            )
        )
        return response.session

    async def get(self, name: str) -> processing_pb2.Session:
        """A session's description; raises NOT_FOUND, ERASED."""
        response = await self._storage.GetSession(storage_pb2.GetSessionRequest(name=name))
        return response.session
