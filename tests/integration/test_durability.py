"""kill -9 during uploads: what was acknowledged reads back byte for byte, and nothing else is readable."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
from idv.channel import DEADLINE_SECONDS
from idv.errors import IdvError
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.retention.v1 import deletions_pb2
from idv.types.v1 import data_pb2
from PIL import Image

from services.local.specimens import Specimen, jpeg
from services.local.stack import LocalStack
from tests.integration.verification import CHUNK, Opened, Verification
from tests.waiting import until

WORKERS = 6
SMALL_PER_WORKER = 20
IMAGES_PER_WORKER = 3
# What a client is told while a server is away; anything else would be a wrong answer to a kill.
PASSING = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "OVERLOADED"}

_Answer = TypeVar("_Answer")


def noise() -> Specimen:
    """A picture that no format makes small: its body goes to the object store."""
    return jpeg(Image.effect_noise((384, 384), 90).convert("RGB"), quality=92)


async def acknowledged(what: str, attempt: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Repeats an attempt, under its one request id, until it is acknowledged."""

    async def once() -> _Answer | None:
        try:
            return await attempt()
        except IdvError as error:
            if error.reason_name not in PASSING:
                raise
            return None

    return await until(f"{what} is acknowledged", once, seconds=60)


class Collected:
    """What was acknowledged: by record, the SHA-256 of the body that must be read back."""

    def __init__(self) -> None:
        self.digests: dict[str, bytes] = {}

    async def reaches(self, count: int) -> None:
        await until(f"{count} acknowledgements", lambda: len(self.digests) >= count, seconds=60)

    async def from_worker(self, verification: Verification, opened: Opened, worker: int) -> None:
        specimen = noise()
        for index in range(SMALL_PER_WORKER):
            await self._small(verification, opened, f"{worker}-{index}")
            if index % (SMALL_PER_WORKER // IMAGES_PER_WORKER) == 0:
                await self._image(verification, opened, specimen)

    async def _small(self, verification: Verification, opened: Opened, mark: str) -> None:
        items = data_pb2.ItemSet(
            device_hardware=data_pb2.DeviceHardware(model=f"model {mark}", memory_bytes=2**33),
            device_network=data_pb2.DeviceNetwork(carrier=f"carrier {mark}", lan_ip="192.168.1.2"),
        )
        request_id = str(uuid.uuid4())
        records = await acknowledged(
            f"items {mark}", lambda: verification.submit(opened, items, request_id=request_id)
        )
        for record, message in zip(records, (items.device_hardware, items.device_network), strict=True):
            self.digests[record.name] = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()

    async def _image(self, verification: Verification, opened: Opened, specimen: Specimen) -> None:
        what, request_id = data_pb2.FaceImage(capture=data_pb2.FACE_CAPTURE_SELFIE), str(uuid.uuid4())
        answer = await acknowledged(
            "an image", lambda: verification.upload(opened, specimen, what, request_id=request_id)
        )
        self.digests[answer.record.name] = answer.stored_sha256


async def abandon_half_an_upload(verification: Verification, opened: Opened) -> None:
    """Sends a header and half of the body, then goes away."""
    body = noise().body
    header = ingest_pb2.MediaHeader(
        session=opened.name,
        request_id=str(uuid.uuid4()),
        face_image=data_pb2.FaceImage(),
        media_type="image/jpeg",
        size_bytes=len(body),
        sha256=hashlib.sha256(body).digest(),
    )
    sent = asyncio.Event()

    async def parts() -> AsyncIterator[ingest_pb2.UploadMediaRequest]:
        yield ingest_pb2.UploadMediaRequest(header=header)
        yield ingest_pb2.UploadMediaRequest(chunk=body[: min(CHUNK, len(body) // 2)])
        sent.set()
        await asyncio.Event().wait()

    ingest = verification.callers.stub(IngestServiceStub, "ingest", opened.sdk)
    upload = asyncio.ensure_future(ingest.UploadMedia(parts()))
    await asyncio.wait({upload, asyncio.ensure_future(sent.wait())}, return_when=asyncio.FIRST_COMPLETED)
    upload.cancel()
    await asyncio.gather(upload, return_exceptions=True)


@pytest.mark.parametrize("victim", ["storage", "postgres", "ingest", "objects"])
async def test_acknowledged_records_survive_kill_9_and_nothing_else_is_readable(
    stack: LocalStack, verification: Verification, victim: str
) -> None:
    sessions = [await verification.open("acme", f"durable-{victim}-{worker}") for worker in range(WORKERS)]
    collected = Collected()
    async with asyncio.TaskGroup() as group:
        for worker, opened in enumerate(sessions):
            group.create_task(collected.from_worker(verification, opened, worker))
        total = WORKERS * (2 * SMALL_PER_WORKER + IMAGES_PER_WORKER)
        for part in (0.1, 0.5):
            await collected.reaches(int(total * part))
            await abandon_half_an_upload(verification, sessions[0])
            await stack.kill(victim)
            await stack.ready(victim)

    for opened in sessions:
        listed = {record.name for record in await verification.records("acme", session=opened.name)}
        assert listed == {name for name in collected.digests if name.startswith(f"{opened.name}/")}
    for name, digest in collected.digests.items():
        assert hashlib.sha256(await verification.read(name)).digest() == digest


async def test_a_repeat_after_the_kill_returns_the_same_record(
    stack: LocalStack, verification: Verification
) -> None:
    """An answer lost in the crash is asked for again: nothing is stored twice."""
    opened = await verification.open("acme", "repeated")
    items = data_pb2.ItemSet(host_application=data_pb2.HostApplication(name="wallet", version="1.2"))
    request_id = str(uuid.uuid4())
    before = await verification.submit(opened, items, request_id=request_id)
    await stack.kill("storage")
    await stack.ready("storage")
    after = await acknowledged(
        "the repeat", lambda: verification.submit(opened, items, request_id=request_id)
    )
    assert [record.name for record in after] == [record.name for record in before]
    assert len(await verification.records("acme", session=opened.name)) == 1


async def test_a_deletion_is_named_in_time_while_the_object_store_is_away_and_ends_by_itself(
    stack: LocalStack, verification: Verification
) -> None:
    """Each hop tries again: together they must not take the time that the caller waits."""
    opened = await verification.open("acme", "deleted-without-store")
    image = data_pb2.FaceImage(capture=data_pb2.FACE_CAPTURE_SELFIE)
    record = (await verification.upload(opened, noise(), image)).record
    await stack.kill("objects", restart=False)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        with pytest.raises(IdvError) as caught:
            await verification.delete("acme", deletions_pb2.DeletionTarget(session=opened.name))
        assert caught.value.reason_name == "UNAVAILABLE"
        assert loop.time() - begun < DEADLINE_SECONDS / 2
        with pytest.raises(IdvError, match="erased"):
            await verification.read(record.name)
    finally:
        await stack.restart("objects")
    assert (await verification.deletion(caught.value.metadata["deletion"])).record_count == 1


async def test_collection_goes_on_while_notice_and_retention_are_away(
    stack: LocalStack, verification: Verification
) -> None:
    """Ingest knows the terms in force; what it needs to ask for is only what might have changed."""
    opened = await verification.open("acme", "undisturbed")
    items = data_pb2.ItemSet(host_application=data_pb2.HostApplication(name="wallet"))
    for away in ("notice", "retention"):
        await stack.kill(away, restart=False)
        record = (await verification.submit(opened, items))[0]
        assert await verification.read(record.name) == items.host_application.SerializeToString()
        await stack.restart(away)
