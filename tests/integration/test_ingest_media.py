"""What is stored of an upload is what the sender was told: the same picture, nothing beside it."""

from __future__ import annotations

import hashlib
import io

import pytest
from idv.types.v1 import data_pb2
from PIL import Image

from services.local import specimens
from services.local.specimens import Specimen
from tests.integration.callers import Callers
from tests.integration.verification import Verification

MARK = specimens.MARK.encode()
CARD = specimens.card("Ada Example", 400)
LARGE = specimens.card("Ada Example", 2000)
SPECIMENS = {
    "jpeg": specimens.jpeg(CARD, orientation=6),
    "png": specimens.png(CARD, orientation=6),
    "webp": specimens.webp(CARD, orientation=6),
    "pdf": specimens.pdf(CARD),
    "large jpeg": specimens.jpeg(LARGE, quality=95),
}


@pytest.mark.parametrize("kind", SPECIMENS)
async def test_the_stored_bytes_are_those_of_the_digest_answered_and_hold_no_metadata(
    verification: Verification, kind: str
) -> None:
    specimen = SPECIMENS[kind]
    opened = await verification.open("acme", "media")
    answer = await verification.upload(opened, specimen, data_pb2.IdentityDocument())
    body = await verification.read(answer.record.name)
    assert hashlib.sha256(body).digest() == answer.stored_sha256
    assert answer.record.size_bytes == len(body)
    assert answer.record.media_type == specimen.media_type
    assert MARK in specimen.body
    assert MARK not in body
    assert "exif" in answer.stripped
    if specimen.media_type.startswith("image/"):
        assert pixels(Specimen(specimen.media_type, body)) == pixels(specimen)


def pixels(specimen: Specimen) -> bytes:
    with Image.open(io.BytesIO(specimen.body)) as image:
        return image.tobytes()


async def test_media_may_come_from_the_customer_and_from_the_sdk(
    verification: Verification, callers: Callers
) -> None:
    opened = await verification.open("acme", "media")
    for caller in (callers.customer("acme"), opened.sdk):
        answer = await verification.upload(opened, SPECIMENS["jpeg"], data_pb2.FaceImage(), caller=caller)
        assert answer.record.category == "face_image"
    sources = [record.source for record in await verification.records("acme", session=opened.name)]
    assert len(set(sources)) == 2
