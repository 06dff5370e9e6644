"""Takes one face image or identity document: received whole, checked, stripped, and only then handed on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.storage.v1 import storage_pb2, storage_pb2_grpc
from idv.types.v1 import data_pb2, processing_pb2

from services.ingest.admission import Admission
from services.ingest.coalesce import Coalescer
from services.ingest.inspection import Inspector
from services.ingest.limits import BodyMemory, RateLimit
from services.ingest.media import check
from services.ingest.submission import kept_days, record_header
from services.ingest.terms import LiveTerms
from services.ingest.tokens import Grant, Grants
from services.runtime.identity import Caller
from services.runtime.instants import timestamp
from services.runtime.validation import refuse_unknown_fields

_CHUNK = 256 << 10
_COPIES = 3
"""Of a body in memory at most: as it grows, as it is checked, and stripped."""
_OWN_BYTES = {"face_image": "image", "identity_document": "document"}


class Uploads:
    """Receives uploads. Bodies up to `inline_bytes` share calls to storage with small items.

    A client that sends nothing for `idle_seconds` gives its place to others.
    """

    def __init__(
        self,
        admission: Admission,
        grants: Grants,
        terms: LiveTerms,
        inspector: Inspector,
        coalescer: Coalescer,
        storage: storage_pb2_grpc.StorageServiceAsyncStub,
        rate: RateLimit,
        *,
        memory: BodyMemory,
        inline_bytes: int,
        idle_seconds: float,
    ) -> None:
        self._admission = admission
        self._grants = grants
        self._terms = terms
        self._inspector = inspector
        self._coalescer = coalescer
        self._storage = storage
        self._rate = rate
        self._memory = memory
        self._inline_bytes = inline_bytes
        self._idle_seconds = idle_seconds

    async def receive(
        self,
        header: ingest_pb2.MediaHeader,
        messages: AsyncIterator[ingest_pb2.UploadMediaRequest],
        caller: Caller,
        received: datetime,
    ) -> ingest_pb2.UploadMediaResponse:
        """The record of an upload whose header arrived at the instant `received`; `messages` are the rest.

        Everything that the header tells is checked before the first byte is taken. A client that leaves
        stores nothing. Raises what `admission`, `tokens`, the inspection and storage refuse, UNKNOWN_FIELD,
        INVALID_ARGUMENT, OVERLOADED.
        """
        grant = self._grants.of(caller, header.session, header.session_token, field="header")
        write = self._admit(header, grant, received)
        self._check_size(header)
        self._rate.take(grant.customer, received, header.size_bytes)
        with self._memory.held(grant.customer, _COPIES * header.size_bytes):
            body = await receive_body(messages, header.size_bytes, self._idle_seconds)
            inspected = await self._inspector.inspect(body, header.media_type, header.sha256)
            body.clear()
            record = await self._store(write, inspected.body)
        return ingest_pb2.UploadMediaResponse(
            record=record, stored_sha256=inspected.sha256, stripped=inspected.removed
        )

    def _admit(
        self, header: ingest_pb2.MediaHeader, grant: Grant, received: datetime
    ) -> storage_pb2.RecordHeader:
        refuse_unknown_fields(header, field="header")
        kind = header.WhichOneof("subject_matter") or ""
        field = f"header.{kind}"
        matter: data_pb2.FaceImage | data_pb2.IdentityDocument = getattr(header, kind)
        if getattr(matter, _OWN_BYTES[kind]):
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "the header holds bytes of its own",
                field=f"{field}.{_OWN_BYTES[kind]}",
                remedy="send the bytes as chunks after the header",
            )
        if header.media_type == check.PDF and kind != "identity_document":
            raise IdvError(
                Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH,
                "a face image is no PDF",
                field="header.media_type",
                remedy="send a JPEG, PNG or WebP",
            )
        terms = self._terms.in_force(received)
        category = self._admission.admit_media(matter, field, grant.items, terms, grant.source)
        return record_header(
            grant,
            terms,
            kept_days(self._terms, grant, terms),
            header.request_id,
            category,
            timestamp(received),
            header.media_type,
            matter.SerializeToString(deterministic=True),
        )

    def _check_size(self, header: ingest_pb2.MediaHeader) -> None:
        if not header.size_bytes:
            raise IdvError(
                Reason.ERROR_REASON_EMPTY_BODY,
                "the body is empty",
                field="header.size_bytes",
                remedy="send the file's bytes",
            )
        most = self._inspector.limits.body_bytes
        if header.size_bytes > most:
            fault = check.too_large(most)
            raise IdvError(fault.reason, fault.message, field="header.size_bytes", remedy=fault.remedy)

    async def _store(self, header: storage_pb2.RecordHeader, body: bytes) -> processing_pb2.Record:
        if len(body) <= self._inline_bytes:
            return (await self._coalescer.write([storage_pb2.RecordWrite(header=header, body=body)]))[0]
        response = await self._storage.WriteObject(_object(header, body))
        return response.record


async def receive_body(
    messages: AsyncIterator[ingest_pb2.UploadMediaRequest], size: int, idle_seconds: float
) -> bytearray:
    """The body, exactly `size` bytes: in one piece, as a million tiny chunks would take ten times the memory.

    Raises INVALID_ARGUMENT, MEDIA_TRUNCATED, and DEADLINE_EXCEEDED when nothing comes for `idle_seconds`.
    """
    body = bytearray()
    left = size
    while message := await _next(messages, idle_seconds):
        if message.WhichOneof("part") != "chunk":
            raise _unexpected("a message after the first holds no chunk", "chunk")
        left -= len(message.chunk)
        if left < 0:
            raise _unexpected("more bytes came than the header declares", "header.size_bytes")
        body += message.chunk
    if left:
        raise IdvError(
            Reason.ERROR_REASON_MEDIA_TRUNCATED,
            "fewer bytes came than the header declares",
            field="header.size_bytes",
            remedy="send the whole file again with the same request id",
        )
    return body


async def _next(
    messages: AsyncIterator[ingest_pb2.UploadMediaRequest], idle_seconds: float
) -> ingest_pb2.UploadMediaRequest | None:
    """The next message, None at the end of the stream."""
    try:
        async with asyncio.timeout(idle_seconds) as timer:
            return await anext(messages, None)
    except TimeoutError:
        if not timer.expired():
            raise
        raise IdvError(
            Reason.ERROR_REASON_DEADLINE_EXCEEDED,
            f"nothing came for {idle_seconds:g} seconds",
            field="chunk",
            remedy="send the whole file again with the same request id",
            retry_after=1.0,
        ) from None


def _unexpected(message: str, field: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        message,
        field=field,
        remedy="send the header once, then the bytes that it declares as chunks",
    )


def _object(header: storage_pb2.RecordHeader, body: bytes) -> Iterator[storage_pb2.WriteObjectRequest]:
    yield storage_pb2.WriteObjectRequest(header=header)
    view = memoryview(body)
    for at in range(0, len(body), _CHUNK):
        yield storage_pb2.WriteObjectRequest(chunk=bytes(view[at : at + _CHUNK]))
