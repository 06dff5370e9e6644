"""The ingest service's methods: take the receipt time, call the domain, put the answer into its message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2, ingest_pb2_grpc

from services.ingest.sessions import Sessions
from services.ingest.standing import Standings
from services.ingest.submission import Submissions
from services.ingest.tokens import TokenSigner
from services.ingest.uploads import Uploads
from services.runtime.clock import Clock
from services.runtime.identity import current_caller


class IngestApi(ingest_pb2_grpc.IngestServiceServicer):
    """Serves `idv.ingest.v1.IngestService`. The address of a caller is never looked at."""

    def __init__(
        self,
        clock: Clock,
        sessions: Sessions,
        submissions: Submissions,
        uploads: Uploads,
        signer: TokenSigner,
        standings: Standings,
    ) -> None:
        self._clock = clock
        self._sessions = sessions
        self._submissions = submissions
        self._uploads = uploads
        self._signer = signer
        self._standings = standings

    async def CreateSession(
        self, request: ingest_pb2.CreateSessionRequest, context: Any
    ) -> ingest_pb2.CreateSessionResponse:
        """Opens a session."""
        await self._standings.check(current_caller().customer, request.items)
        session = await self._sessions.create(request, self._clock.now())
        return ingest_pb2.CreateSessionResponse(session=session, upload_token=self._signer.sign(session))

    async def GetSession(
        self, request: ingest_pb2.GetSessionRequest, context: Any
    ) -> ingest_pb2.GetSessionResponse:
        """Describes a session."""
        return ingest_pb2.GetSessionResponse(session=await self._sessions.get(request.name))

    async def SubmitItems(
        self, request: ingest_pb2.SubmitItemsRequest, context: Any
    ) -> ingest_pb2.SubmitItemsResponse:
        """Takes small items of one session."""
        await self._standings.check(current_caller().customer)
        return await self._submissions.submit(request, current_caller(), self._clock.now())

    async def BatchSubmitItems(
        self, request: ingest_pb2.BatchSubmitItemsRequest, context: Any
    ) -> ingest_pb2.BatchSubmitItemsResponse:
        """Takes small items of many sessions."""
        await self._standings.check(current_caller().customer)
        outcomes = await self._submissions.batch(request.submissions, current_caller(), self._clock.now())
        return ingest_pb2.BatchSubmitItemsResponse(outcomes=outcomes)

    async def UploadMedia(
        self, request_iterator: AsyncIterator[ingest_pb2.UploadMediaRequest], context: Any
    ) -> ingest_pb2.UploadMediaResponse:
        """Takes one face image or identity document."""
        first = await anext(request_iterator, None)
        received = self._clock.now()
        if first is None or first.WhichOneof("part") != "header":
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "the upload does not begin with its header",
                field="header",
                remedy="send the header first, then the bytes as chunks",
            )
        await self._standings.check(current_caller().customer)
        return await self._uploads.receive(first.header, request_iterator, current_caller(), received)
