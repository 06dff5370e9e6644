"""What happens to a record while it is exported or corrected: a typed end, one winner, never other bytes."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from idv import receipts
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.types.v1 import data_pb2, processing_pb2
from PIL import Image

from services.local.specimens import Specimen, jpeg
from services.local.stack import LocalStack
from tests.integration.callers import Callers
from tests.integration.test_exports import collected, correct, export
from tests.integration.test_rights import CUSTOMER, ITEMS, hardware, refusal, restrict, rights
from tests.integration.verification import Verification

LARGE = 20
"""Images of a megabyte: more than every buffer between storage and a client that does not read."""
GONE = {"ERASED", "EXPIRED", "WRONG_STATE"}
SMALL = 600
Meanwhile = Callable[[Verification, str, processing_pb2.Record], Awaitable[object]]


@pytest_asyncio.fixture(scope="module")
async def own(server_directory: Path) -> AsyncIterator[Verification]:
    """A stack whose clock these tests move."""
    async with LocalStack(server_directory / "meanwhile") as stack, Callers(stack) as callers:
        yield Verification(callers)


def large() -> Specimen:
    """About a megabyte of noise."""
    return jpeg(Image.effect_noise((1100, 1100), 90).convert("RGB"), quality=92)


async def filled(verification: Verification, subject: str) -> processing_pb2.Record:
    """A subject with much to export; the last record of it, small."""
    opened = await verification.open(CUSTOMER, subject, ITEMS)
    image = large()
    for _ in range(LARGE):
        await verification.upload(opened, image, data_pb2.FaceImage())
    return (await verification.submit(opened, hardware()))[0]


async def rest(call: AsyncIterator[Any], received: list[bytes]) -> None:
    """Takes what is left of a stream."""
    while True:
        part = await anext(call, None)
        if part is None:
            return
        received.append(part.chunk)


async def deleted(verification: Verification, subject: str, last: processing_pb2.Record) -> None:
    await verification.delete(CUSTOMER, deletions_pb2.DeletionTarget(subject=subject))


async def corrected(verification: Verification, subject: str, last: processing_pb2.Record) -> None:
    await correct(
        verification,
        last.name,
        data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-200")),
    )


async def expired(verification: Verification, subject: str, last: processing_pb2.Record) -> None:
    verification.callers.stack.travel(by=timedelta(days=31))


@pytest.mark.parametrize("meanwhile", [deleted, corrected, expired])
async def test_an_export_under_way_ends_typed_when_something_of_it_goes(
    own: Verification, meanwhile: Meanwhile
) -> None:
    subject = f"gone meanwhile: {meanwhile.__name__}"
    last = await filled(own, subject)
    request = rights_pb2.ExportSubjectRequest(
        parent=f"customers/{CUSTOMER}", request_id=str(uuid.uuid4()), subject=subject
    )
    call = aiter(rights(own).ExportSubject(request, timeout=60))
    received = [(await anext(call)).chunk]
    await meanwhile(own, subject, last)
    ended = await refusal(rest(call, received))
    assert ended.reason_name in GONE
    assert "new request id" in (ended.remedy or "")
    so_far = b"".join(received)
    assert last.name.rpartition("/")[2].encode() not in so_far
    again = await refusal(export(own, subject, request_id=request.request_id, offset=len(so_far)))
    assert again.reason_name in GONE


async def test_an_export_under_way_goes_on_when_its_subject_is_restricted(own: Verification) -> None:
    subject, request_id = "restricted meanwhile", str(uuid.uuid4())
    await filled(own, subject)
    request = rights_pb2.ExportSubjectRequest(
        parent=f"customers/{CUSTOMER}", request_id=request_id, subject=subject
    )
    call = aiter(rights(own).ExportSubject(request, timeout=60))
    received = [(await anext(call)).chunk]
    await restrict(own, subject)
    received += [part.chunk async for part in call]
    assert zipfile.ZipFile(io.BytesIO(b"".join(received))).testzip() is None
    assert await export(own, subject, request_id=request_id) == b"".join(received)


async def test_of_corrections_and_a_deletion_at_once_exactly_one_wins(own: Verification) -> None:
    for turn in range(6):
        _, small, _ = await collected(own, f"raced {turn}")
        right = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model=f"X-{turn}"))
        target = deletions_pb2.DeletionTarget(record=small.name)
        answers = await asyncio.gather(
            *(correct(own, small.name, right) for _ in range(3)),
            own.delete(CUSTOMER, target),
            return_exceptions=True,
        )
        *corrections, deletion = answers
        won = [one for one in corrections if not isinstance(one, BaseException)]
        for lost in corrections:
            assert not isinstance(lost, BaseException) or (
                isinstance(lost, IdvError) and lost.reason_name == "ERASED"
            ), lost
        assert isinstance(deletion, deletions_pb2.Deletion), deletion
        assert len(won) == 1 - deletion.record_count, "whoever came first made the wrong record unreadable"
        assert (await refusal(own.read(small.name))).reason_name == "ERASED"
        receipts.verify(deletion.receipt.json, own.callers.stack.log_public_key)
        for winner in won:
            done = await own.deletion(winner.deletion)
            receipts.verify(done.receipt.json, own.callers.stack.log_public_key)
            assert done.record_count == 1
            assert await own.read(winner.record.name) == right.device_hardware.SerializeToString()


async def test_a_correction_of_what_has_ended_is_refused_and_extends_nothing(own: Verification) -> None:
    _, small, _ = await collected(own, "corrected at the end")
    right = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-2"))
    stack = own.callers.stack
    stack.travel(by=timedelta(days=30) - timedelta(seconds=20))
    answer = await correct(own, small.name, right)
    stack.travel(by=timedelta(seconds=40))
    assert (await refusal(own.read(answer.record.name))).reason_name in {"EXPIRED", "NOT_FOUND"}
    late = await refusal(correct(own, answer.record.name, right))
    assert late.reason_name in {"EXPIRED", "NOT_FOUND"}


async def test_a_subject_with_much_is_exported_in_the_memory_of_one_with_little(own: Verification) -> None:
    opened = await own.open(CUSTOMER, "much", ITEMS)
    for _ in range(0, SMALL, 100):
        await asyncio.gather(*(own.submit(opened, hardware()) for _ in range(100)))
    await collected(own, "little")
    await export(own, "little")
    before = _resident(own.callers.stack)
    whole = await export(own, "much")
    assert len(zipfile.ZipFile(io.BytesIO(whole)).namelist()) > 2 * SMALL
    grown = _resident(own.callers.stack) - before
    assert grown < 48, f"retention grew by {grown:.0f} MiB"


async def test_exports_that_nobody_reads_on_hold_little(own: Verification) -> None:
    subject = "never read"
    await filled(own, subject)
    before = _resident(own.callers.stack)
    for _ in range(6):
        request = rights_pb2.ExportSubjectRequest(
            parent=f"customers/{CUSTOMER}", request_id=str(uuid.uuid4()), subject=subject
        )
        call = rights(own).ExportSubject(request, timeout=60)
        await anext(aiter(call))
        call.cancel()
    assert await export(own, subject)
    grown = _resident(own.callers.stack) - before
    assert grown < 64, f"retention grew by {grown:.0f} MiB"


def _resident(stack: LocalStack) -> float:
    """Memory of the retention process in MiB."""
    pid = json.loads(stack.layout.pid("retention").read_text())["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
