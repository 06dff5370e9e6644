"""`export`: a subject's archive, in bytes a second, beside the bare reads of the same records."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable

from idv.channel import AioChannel
from idv.ingest.v1 import ingest_pb2_grpc
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.storage.v1 import storage_pb2
from idv.storage.v1.storage_pb2_grpc import StorageServiceStub
from idv.types.v1 import processing_pb2

from benchmarks.rounds import Result, interleave, median
from benchmarks.sessions import CUSTOMER, open_session
from benchmarks.upload_1mib import messages, photograph
from services.local.stack import LocalStack

IMAGES = 48
TARGET = 0.6
_MIB = 1 << 20


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Exports one subject and reads the same records one after the other, in turn."""
    token = stack.token(CUSTOMER)
    async with (
        stack.channel("ingest", token=token) as ingest,
        stack.channel("retention", token=token) as retention,
        stack.channel("storage", identity="service:verification") as storage,
    ):
        subject = f"bench-{uuid.uuid4()}"
        session = await open_session(stack, ingest, subject)
        image = photograph()
        digest = hashlib.sha256(image).digest()
        async with stack.channel("ingest", token=session.token) as sdk:
            for _ in range(IMAGES):
                await ingest_pb2_grpc.IngestServiceStub(sdk).UploadMedia(messages(session, image, digest))
        request = deletions_pb2.ListRecordsRequest(
            parent=f"customers/{CUSTOMER}", subject=subject, page_size=1000
        )
        records = list((await DeletionServiceStub(retention).ListRecords(request)).records)
        total = sum(record.size_bytes for record in records)

        async def exported() -> float:
            return total / _MIB / await _export(retention, subject)

        async def read() -> float:
            return total / _MIB / await _read(storage, [record.name for record in records])

        seen = await interleave(rounds, exported, read, progress=progress)
    ratios = [ours / bare for ours, bare in seen]
    return Result(
        name="export",
        ours=median([ours for ours, _ in seen]),
        bare=median([bare for _, bare in seen]),
        ratio=median(ratios),
        target=TARGET,
        unit="MiB/s",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) >= TARGET,
        about=f"{len(records)} images, {total:,} bytes: planned, read for the support of rights, digested, "
        "and streamed as a ZIP archive with attestation, accesses, notice, index and manifest; beside the "
        "same records read one after the other from storage, with nothing around them.",
    )


async def _export(retention: AioChannel, subject: str) -> float:
    request = rights_pb2.ExportSubjectRequest(
        parent=f"customers/{CUSTOMER}", request_id=str(uuid.uuid4()), subject=subject
    )
    begun = time.perf_counter()
    async for _ in RightsServiceStub(retention).ExportSubject(request, timeout=300):
        pass
    return time.perf_counter() - begun


async def _read(storage: AioChannel, records: list[str]) -> float:
    begun = time.perf_counter()
    for name in records:
        request = storage_pb2.ReadRecordRequest(name=name, purpose=processing_pb2.PURPOSE_VERIFICATION)
        async for _ in StorageServiceStub(storage).ReadRecord(request, timeout=60):
            pass
    return time.perf_counter() - begun
