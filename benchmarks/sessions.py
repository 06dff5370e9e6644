"""What every load needs first: a Customer's session, attested and open."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from idv.channel import AioChannel
from idv.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from idv.types.v1 import processing_pb2

from services.local.stack import LocalStack

CUSTOMER = "acme"
ITEMS = ("device.hardware", "device.network", "face_image", "identity_document", "log")


@dataclass(frozen=True)
class OpenSession:
    """A session's name and its upload token."""

    name: str
    token: str


async def open_session(stack: LocalStack, ingest: AioChannel, subject: str = "") -> OpenSession:
    """Creates a session that may hold everything a load sends."""
    attested = Timestamp()
    attested.FromDatetime(stack.clock.now())
    stub = ingest_pb2_grpc.IngestServiceStub(ingest)
    answer = await stub.CreateSession(
        ingest_pb2.CreateSessionRequest(
            parent=f"customers/{CUSTOMER}",
            request_id=str(uuid.uuid4()),
            subject=subject or f"bench-{uuid.uuid4()}",
            attestation=processing_pb2.Attestation(
                reference="bench",
                attest_time=attested,
                legal_basis=processing_pb2.LEGAL_BASIS_CONSENT,
                explicit_consent=True,
                items=ITEMS,
                notice_version=1,
            ),
            items=ITEMS,
        )
    )
    return OpenSession(answer.session.name, answer.upload_token)
