"""Images, documents and streams that ingest must refuse: typed, with a remedy, and nothing is stored."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from idv.errors import Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.types.v1 import data_pb2

from services.local import specimens
from services.local.specimens import Specimen
from tests.integration.callers import Callers
from tests.integration.ingest_refusals import FACE, nothing_is_stored, refusal
from tests.integration.verification import Opened, Verification

BROKEN = {
    "empty": (Specimen("image/jpeg", b""), Reason.ERROR_REASON_EMPTY_BODY, "header.size_bytes"),
    "oversize": (
        Specimen("image/jpeg", FACE.body[:3] + bytes(16 << 20)),
        Reason.ERROR_REASON_TOO_LARGE,
        "header.size_bytes",
    ),
    "truncated": (
        Specimen("image/jpeg", FACE.body[: len(FACE.body) // 3]),
        Reason.ERROR_REASON_MEDIA_TRUNCATED,
        "chunk",
    ),
    "mislabelled": (
        replace(FACE, media_type="image/png"),
        Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH,
        "header.media_type",
    ),
    "undecodable": (
        Specimen("image/jpeg", b"\xff\xd8\xff\xd9"),
        Reason.ERROR_REASON_MEDIA_UNDECODABLE,
        "chunk",
    ),
    "bomb": (
        Specimen("image/png", specimens.png_bomb(30_000, 30_000)),
        Reason.ERROR_REASON_MEDIA_TOO_COMPLEX,
        "chunk",
    ),
    "no PDF": (
        Specimen("application/pdf", b"<html>hello</html>"),
        Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH,
        "header.media_type",
    ),
    "broken PDF": (
        Specimen("application/pdf", b"%PDF-1.7\nhello\n%%EOF\n"),
        Reason.ERROR_REASON_MEDIA_UNDECODABLE,
        "chunk",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_body_that_is_not_what_it_should_be_is_refused(
    verification: Verification, session: Opened, kind: str
) -> None:
    specimen, reason, field = BROKEN[kind]
    attempt = verification.upload(session, specimen, data_pb2.IdentityDocument())
    await refusal(attempt, reason, field)
    await nothing_is_stored(verification, session)


async def test_a_face_image_is_no_pdf(verification: Verification, session: Opened) -> None:
    document = specimens.pdf(specimens.card("Ada Example", 200))
    attempt = verification.upload(session, document, data_pb2.FaceImage())
    await refusal(attempt, Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH, "header.media_type")


async def test_bytes_that_are_not_those_declared_are_refused(
    verification: Verification, session: Opened
) -> None:
    attempt = verification.upload(session, FACE, data_pb2.FaceImage(), sha256=bytes(32))
    await refusal(attempt, Reason.ERROR_REASON_CHECKSUM_MISMATCH, "header.sha256")
    await nothing_is_stored(verification, session)


def header(session: Opened, **changes: Any) -> ingest_pb2.UploadMediaRequest:
    values: dict[str, Any] = {
        "session": session.name,
        "request_id": str(uuid.uuid4()),
        "face_image": data_pb2.FaceImage(),
        "media_type": FACE.media_type,
        "size_bytes": len(FACE.body),
        "sha256": hashlib.sha256(FACE.body).digest(),
    }
    return ingest_pb2.UploadMediaRequest(header=ingest_pb2.MediaHeader(**(values | changes)))


def chunk(body: bytes) -> ingest_pb2.UploadMediaRequest:
    return ingest_pb2.UploadMediaRequest(chunk=body)


async def test_a_stream_that_does_not_keep_its_order_or_size_is_refused(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    ingest = callers.stub(IngestServiceStub, "ingest", session.sdk)
    invalid, truncated = Reason.ERROR_REASON_INVALID_ARGUMENT, Reason.ERROR_REASON_MEDIA_TRUNCATED
    streams = [
        ([chunk(FACE.body)], invalid, "header.session"),
        ([header(session), header(session)], invalid, "chunk"),
        ([header(session), chunk(FACE.body), chunk(b"more")], invalid, "header.size_bytes"),
        ([header(session), chunk(FACE.body[:-1])], truncated, "header.size_bytes"),
        ([header(session)], truncated, "header.size_bytes"),
        (
            [header(session, face_image=data_pb2.FaceImage(image=b"own")), chunk(FACE.body)],
            invalid,
            "header.face_image.image",
        ),
    ]
    for messages, reason, field in streams:
        await refusal(ingest.UploadMedia(iter(messages)), reason, field)
    await nothing_is_stored(verification, session)


async def test_a_client_that_leaves_mid_stream_stores_nothing(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    sent = asyncio.Event()

    async def half() -> AsyncIterator[ingest_pb2.UploadMediaRequest]:
        yield header(session)
        yield chunk(FACE.body[:1000])
        sent.set()
        await asyncio.Event().wait()

    ingest = callers.stub(IngestServiceStub, "ingest", session.sdk)
    upload = asyncio.ensure_future(ingest.UploadMedia(half()))
    await sent.wait()
    upload.cancel()
    await asyncio.wait([upload])
    await nothing_is_stored(verification, session)
    answer = await verification.upload(session, FACE, data_pb2.FaceImage())
    assert [record.name for record in await verification.records("acme", session=session.name)] == [
        answer.record.name
    ]
