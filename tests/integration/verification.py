"""What a Customer, its SDK and the verifier do with the suite, in the fewest calls: collect, read, delete."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.storage.v1 import storage_pb2
from idv.storage.v1.storage_pb2_grpc import StorageServiceStub
from idv.types.v1 import data_pb2, processing_pb2

from services.local.specimens import Specimen
from tests.integration.callers import Caller, Callers, service
from tests.waiting import until

CHUNK = 256 * 1024

EVERYTHING = (
    *("device.hardware", "device.network", "device.application", "device.permissions"),
    *("log", "face_image", "identity_document"),
)
"""Every category with items that are not optional."""

OPTIONAL = (
    *("device.hardware.idfv", "device.hardware.cookie_uid", "device.network.dns_ip"),
    "device.installed_applications",
)
"""The items that must be asked for by code."""


@dataclass(frozen=True)
class Opened:
    """An open session: its name and its upload token."""

    customer: str
    name: str
    token: str

    @property
    def sdk(self) -> Caller:
        """The SDK that holds the upload token."""
        return Caller(token=self.token)


class Verification:
    """The main path of one stack, through its public contract. Every method raises IdvError when refused."""

    def __init__(self, callers: Callers) -> None:
        self.callers = callers

    def attestation(
        self, items: Iterable[str], *, reference: str = "consent-1"
    ) -> processing_pb2.Attestation:
        """What a Customer attests: everything asked for was authorised just now, with explicit consent."""
        return processing_pb2.Attestation(
            reference=reference,
            attest_time=timestamp(self.callers.stack.clock.now()),
            legal_basis=processing_pb2.LEGAL_BASIS_CONSENT,
            explicit_consent=True,
            items=items,
            notice_version=1,
        )

    async def open(
        self,
        customer: str,
        subject: str,
        items: Iterable[str] = EVERYTHING,
        *,
        attestation: processing_pb2.Attestation | None = None,
    ) -> Opened:
        """Opens a session for one end user."""
        items = tuple(items)
        ingest = self.callers.stub(IngestServiceStub, "ingest", self.callers.customer(customer))
        answer = await ingest.CreateSession(
            ingest_pb2.CreateSessionRequest(
                parent=f"customers/{customer}",
                request_id=str(uuid.uuid4()),
                subject=subject,
                attestation=attestation or self.attestation(items),
                items=items,
            )
        )
        return Opened(customer, answer.session.name, answer.upload_token)

    async def submit(
        self,
        opened: Opened,
        items: data_pb2.ItemSet,
        *,
        request_id: str | None = None,
        caller: Caller | None = None,
    ) -> list[processing_pb2.Record]:
        """Submits small items: by default as the SDK that holds the session's token."""
        caller = caller or opened.sdk
        ingest = self.callers.stub(IngestServiceStub, "ingest", caller)
        answer = await ingest.SubmitItems(
            ingest_pb2.SubmitItemsRequest(
                session=opened.name,
                session_token="" if caller == opened.sdk else opened.token,
                request_id=request_id or str(uuid.uuid4()),
                items=items,
            )
        )
        return list(answer.records)

    async def upload(
        self,
        opened: Opened,
        specimen: Specimen,
        what: data_pb2.FaceImage | data_pb2.IdentityDocument,
        *,
        caller: Caller | None = None,
        request_id: str | None = None,
        sha256: bytes | None = None,
    ) -> ingest_pb2.UploadMediaResponse:
        """Uploads an image or PDF: by default as the SDK that holds the session's token."""
        caller = caller or opened.sdk
        header = ingest_pb2.MediaHeader(
            session=opened.name,
            session_token="" if caller == opened.sdk else opened.token,
            request_id=request_id or str(uuid.uuid4()),
            media_type=specimen.media_type,
            size_bytes=len(specimen.body),
            sha256=sha256 or hashlib.sha256(specimen.body).digest(),
        )
        field = "face_image" if isinstance(what, data_pb2.FaceImage) else "identity_document"
        getattr(header, field).CopyFrom(what)
        ingest = self.callers.stub(IngestServiceStub, "ingest", caller)
        response: ingest_pb2.UploadMediaResponse = await ingest.UploadMedia(_parts(header, specimen.body))
        return response

    async def read(
        self,
        record: str,
        *,
        reader: str = "verification",
        purpose: processing_pb2.Purpose.ValueType = processing_pb2.PURPOSE_VERIFICATION,
        person: str = "",
        ticket: str = "",
    ) -> bytes:
        """Reads a record's body for a purpose, as an internal service."""
        storage = self.callers.stub(StorageServiceStub, "storage", service(reader))
        request = storage_pb2.ReadRecordRequest(name=record, purpose=purpose, person=person, ticket=ticket)
        body = bytearray()
        async for part in storage.ReadRecord(request):
            body += part.chunk
        return bytes(body)

    async def records(
        self, customer: str, *, session: str = "", subject: str = ""
    ) -> list[processing_pb2.Record]:
        """Lists what storage holds of a session or subject, all pages."""
        storage = self.callers.stub(StorageServiceStub, "storage", service("verification"))
        found: list[processing_pb2.Record] = []
        request = storage_pb2.ListRecordsRequest(
            parent=f"customers/{customer}", page_size=1000, purpose=processing_pb2.PURPOSE_VERIFICATION
        )
        if session:
            request.session = session
        else:
            request.subject = subject
        while True:
            answer = await storage.ListRecords(request)
            found += answer.records
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def delete(
        self, customer: str, target: deletions_pb2.DeletionTarget, *, request_id: str | None = None
    ) -> deletions_pb2.Deletion:
        """Deletes at the Customer's request."""
        retention = self.callers.stub(DeletionServiceStub, "retention", self.callers.customer(customer))
        answer = await retention.CreateDeletion(
            deletions_pb2.CreateDeletionRequest(
                parent=f"customers/{customer}", request_id=request_id or str(uuid.uuid4()), target=target
            )
        )
        return answer.deletion

    async def deletion(self, name: str) -> deletions_pb2.Deletion:
        """A deletion once it is done."""
        retention = self.callers.stub(
            DeletionServiceStub, "retention", self.callers.customer(name.split("/")[1])
        )

        async def done() -> deletions_pb2.Deletion | None:
            found = (await retention.GetDeletion(deletions_pb2.GetDeletionRequest(name=name))).deletion
            return found if found.state == deletions_pb2.DELETION_STATE_DONE else None

        return await until("the deletion is done", done)


def timestamp(instant: datetime) -> Timestamp:
    """An instant as it travels."""
    made = Timestamp()
    made.FromDatetime(instant)
    return made


async def _parts(header: ingest_pb2.MediaHeader, body: bytes) -> AsyncIterator[ingest_pb2.UploadMediaRequest]:
    yield ingest_pb2.UploadMediaRequest(header=header)
    for start in range(0, len(body), CHUNK):
        yield ingest_pb2.UploadMediaRequest(chunk=body[start : start + CHUNK])


def same_message(body: bytes, expected: Message) -> bool:
    """Whether a stored body is this message, byte for byte."""
    return body == expected.SerializeToString(deterministic=True)
