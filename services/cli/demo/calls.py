"""The calls that the chapters make, as the people of the story would."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.media import Media
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.storage.v1 import storage_pb2
from idv.types.v1 import data_pb2, processing_pb2

from services.cli.client import CALL_SECONDS, STREAM_SECONDS, Who, parent, session_holder
from services.cli.demo.cast import Person, attestation
from services.cli.demo.stage import VERIFICATION, Stage, eventually
from services.cli.failure import NotAsPromisedError
from services.cli.record import read_whole
from services.local.specimens import Specimen

_T = TypeVar("_T")

NOTICE_VERSION = 1


def new_id() -> str:
    """A request id."""
    return str(uuid.uuid4())


async def refusal(call: Awaitable[object], reason: Reason.ValueType) -> str:
    """How the call was refused. Raises NotAsPromisedError when it was not, or for another reason."""
    try:
        await call
    except IdvError as error:
        if error.reason != reason:
            raise NotAsPromisedError(
                f"refused for another reason: {error.reason_name}, {error.message}"
            ) from error
        return f"{error.reason_name}: {error.message}"
    raise NotAsPromisedError(f"it was not refused, as {Reason.Name(reason)} promises")


def session_request(
    stage: Stage, who: Who, person: Person, items: tuple[str, ...], version: int = NOTICE_VERSION
) -> ingest_pb2.CreateSessionRequest:
    """The request for a session of all `items`, attested just now."""
    return ingest_pb2.CreateSessionRequest(
        parent=parent(who),
        request_id=new_id(),
        subject=person.subject,
        items=items,
        attestation=attestation(person, items, version, stage.stack.clock.now()),
    )


async def open_session(
    stage: Stage, who: Who, request: ingest_pb2.CreateSessionRequest
) -> ingest_pb2.CreateSessionResponse:
    """Opens a session as a Customer."""
    return await stage.suite.stub(IngestServiceStub, "ingest", who).CreateSession(
        request, timeout=CALL_SECONDS
    )


async def submit(
    stage: Stage, person: Person, items: data_pb2.ItemSet, who: Who | None = None, request_id: str = ""
) -> ingest_pb2.SubmitItemsResponse:
    """Sends small items: as the SDK, by the upload token, or as a Customer."""
    request = ingest_pb2.SubmitItemsRequest(
        session=person.session.name,
        session_token=person.token if who else "",
        request_id=request_id or new_id(),
        items=items,
    )
    stub = stage.suite.stub(IngestServiceStub, "ingest", who or session_holder(person.token))
    return await stub.SubmitItems(request, timeout=CALL_SECONDS)


async def upload(
    stage: Stage,
    person: Person,
    specimen: Specimen,
    shows: data_pb2.FaceImage | data_pb2.IdentityDocument,
    who: Who | None = None,
) -> ingest_pb2.UploadMediaResponse:
    """Sends a picture or PDF: as the SDK, by the upload token, or as a Customer."""
    media = Media(specimen.body, specimen.media_type, shows)
    header = media.header(person.session.name, person.token if who else "", new_id())
    stub = stage.suite.stub(IngestServiceStub, "ingest", who or session_holder(person.token))
    return await stub.UploadMedia(media.messages(header), timeout=STREAM_SECONDS)


async def read(
    stage: Stage,
    record: processing_pb2.Record,
    who: Who = VERIFICATION,
    purpose: processing_pb2.Purpose.ValueType = processing_pb2.PURPOSE_VERIFICATION,
    person: str = "",
    ticket: str = "",
) -> bytes:
    """A record's whole body, read by an internal service for a purpose."""
    request = storage_pb2.ReadRecordRequest(name=record.name, purpose=purpose, person=person, ticket=ticket)
    _, body = await read_whole(stage.suite, who, request)
    return body


async def accesses(stage: Stage, who: Who) -> list[processing_pb2.Access]:
    """Every reading of a Customer's data, as the Customer sees it."""
    request = deletions_pb2.ListAccessesRequest(parent=parent(who), page_size=1000)
    stub = stage.suite.stub(DeletionServiceStub, "retention", who)
    return list((await stub.ListAccesses(request, timeout=CALL_SECONDS)).accesses)


async def once_served(call: Callable[[], Awaitable[_T]], otherwise: str) -> _T:
    """The answer to `call`, asked again while the services find each other after a crash."""

    async def look() -> _T | None:
        try:
            return await call()
        except IdvError as error:
            if error.code == grpc.StatusCode.UNAVAILABLE:
                return None
            raise

    return await eventually(look, otherwise)
