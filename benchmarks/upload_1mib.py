"""`upload_1mib`: an image of about 1 MiB end to end, beside what its three unavoidable parts allow.

The bound is 1 / (1/stream + 1/put + 1/decode): a bare stream through two services, a bare put into the same
S3 server, and a bare decode of the same bytes on all cores, each in uploads a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import grpc
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from idv.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from idv.types.v1 import data_pb2
from PIL import Image

from benchmarks.bare_echo import STREAM
from benchmarks.bare_pair import bare_pair
from benchmarks.load import rate
from benchmarks.rounds import Result, interleave, median
from benchmarks.sessions import OpenSession, open_session
from services.local.stack import LocalStack

SIZE = 1 << 20
CHUNK = 256 << 10
CALLS = 64
IN_FLIGHT = 16
TARGET = 0.7
BUCKET = "bench-bare"


def photograph() -> bytes:
    """A JPEG of about 1 MiB, as a phone's camera makes it: noise over shapes, quality by search."""
    noise = Image.frombytes("L", (1600, 1200), random.Random(7).randbytes(1600 * 1200))  # noqa: S311 - noise, not a secret
    picture = Image.merge("RGB", [Image.radial_gradient("L").resize((1600, 1200))] * 3)
    picture = Image.blend(picture, Image.merge("RGB", [noise] * 3), 0.25)
    best = b""
    for quality in range(60, 100):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if len(buffer.getvalue()) > SIZE:
            break
        best = buffer.getvalue()
    return best


def decode(image: bytes) -> None:
    """Every pixel, thrown away."""
    with Image.open(io.BytesIO(image), formats=["JPEG"]) as picture:
        picture.load()


async def messages(
    session: OpenSession, image: bytes, digest: bytes
) -> AsyncIterator[ingest_pb2.UploadMediaRequest]:
    """The stream of an upload as an SDK sends it."""
    yield ingest_pb2.UploadMediaRequest(
        header=ingest_pb2.MediaHeader(
            session=session.name,
            request_id=str(uuid.uuid4()),
            face_image=data_pb2.FaceImage(capture=data_pb2.FACE_CAPTURE_SELFIE),
            media_type="image/jpeg",
            size_bytes=len(image),
            sha256=digest,
        )
    )
    for start in range(0, len(image), CHUNK):
        yield ingest_pb2.UploadMediaRequest(chunk=image[start : start + CHUNK])


async def chunks(image: bytes) -> AsyncIterator[bytes]:
    """The same bytes for the bare stream."""
    for start in range(0, len(image), CHUNK):
        yield image[start : start + CHUNK]


@asynccontextmanager
async def bucket(stack: LocalStack) -> AsyncIterator[Any]:
    """A client of the stack's S3 server with a bucket of its own, emptied and removed at the end."""
    account = stack.objects.identity("operator")
    config = AioConfig(
        max_pool_connections=64,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": False, "addressing_style": "path"},
        parameter_validation=False,
    )
    async with get_session().create_client(
        "s3",
        endpoint_url=stack.objects.endpoint,
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret_key,
        region_name="us-east-1",
        config=config,
    ) as client:
        await client.create_bucket(Bucket=BUCKET)
        try:
            yield client
        finally:
            while contents := (await client.list_objects_v2(Bucket=BUCKET)).get("Contents"):
                keys = [{"Key": entry["Key"]} for entry in contents]
                await client.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})
            await client.delete_bucket(Bucket=BUCKET)


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Runs the upload and its three bare parts in turn."""
    image = photograph()
    digest = hashlib.sha256(image).digest()
    cores = ThreadPoolExecutor(os.cpu_count())
    loop = asyncio.get_running_loop()
    async with (
        bare_pair(stack) as [bare],
        bucket(stack) as store,
        stack.channel("ingest", token=stack.token("acme")) as ingest,
    ):
        session = await open_session(stack, ingest)
        stream: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = bare.stream_unary(STREAM)

        async def ours() -> float:
            async with stack.channel("ingest", token=session.token) as sdk:
                stub = ingest_pb2_grpc.IngestServiceStub(sdk)
                return await _rate(lambda _: stub.UploadMedia(messages(session, image, digest)))

        async def put(number: int) -> None:
            await store.put_object(Bucket=BUCKET, Key=f"{number}-{uuid.uuid4()}", Body=image)

        seen = await interleave(
            rounds,
            ours,
            lambda: _rate(lambda _: _stream(stream, image)),
            lambda: _rate(put),
            lambda: _rate(lambda _: loop.run_in_executor(cores, decode, image)),
            progress=progress,
        )
    cores.shutdown()
    bounds = [1 / (1 / streamed + 1 / stored + 1 / decoded) for _, streamed, stored, decoded in seen]
    ratios = [mine[0] / bound for mine, bound in zip(seen, bounds, strict=True)]
    return Result(
        name="upload_1mib",
        ours=median([mine[0] for mine in seen]),
        bare=median(bounds),
        ratio=median(ratios),
        target=TARGET,
        unit="uploads/s",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) >= TARGET,
        about=f"a JPEG of {len(image):,} bytes, {IN_FLIGHT} in flight: checked, decoded whole, stripped, "
        "sealed, put and committed; "
        "beside 1 / (1/stream + 1/put + 1/decode), each part bare and of the same bytes.",
        parts={
            "stream": median([value[1] for value in seen]),
            "put": median([value[2] for value in seen]),
            "decode": median([value[3] for value in seen]),
        },
    )


async def _stream(stream: grpc.aio.StreamUnaryMultiCallable[bytes, bytes], image: bytes) -> bytes:
    answer: bytes = await stream(chunks(image))
    return answer


async def _rate(call: Callable[[int], Awaitable[object]]) -> float:
    return await rate(call, calls=CALLS, in_flight=IN_FLIGHT)
