"""Rights through the Customer, by the public contract alone: wide deletion, restriction, opting out."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from idv import receipts
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.types.v1 import data_pb2, processing_pb2

from services.local.stack import LocalStack
from tests.integration.test_durability import noise
from tests.integration.verification import Opened, Verification

CUSTOMER = "globex"
ITEMS = ("device.hardware", "log", "face_image")


def hardware() -> data_pb2.ItemSet:
    return data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-100"))


def rights(verification: Verification) -> Any:
    callers = verification.callers
    return callers.stub(RightsServiceStub, "retention", callers.customer(CUSTOMER))


async def refusal(call: Any) -> IdvError:
    with pytest.raises(IdvError) as caught:
        await call
    return caught.value


async def restrict(verification: Verification, subject: str, *, restricted: bool = True) -> Any:
    request = rights_pb2.SetRestrictionRequest(
        parent=f"customers/{CUSTOMER}",
        request_id=str(uuid.uuid4()),
        subject=subject,
        restricted=restricted,
        reason=processing_pb2.RESTRICTION_REASON_OBJECTION_PENDING,
    )
    return await rights(verification).SetRestriction(request)


async def opt_out(verification: Verification, subject: str, *items: str, opted_out: bool = True) -> Any:
    request = rights_pb2.SetOptOutRequest(
        parent=f"customers/{CUSTOMER}",
        request_id=str(uuid.uuid4()),
        subject=subject,
        items=items,
        opted_out=opted_out,
    )
    return await rights(verification).SetOptOut(request)


async def test_restricted_data_serves_rights_and_erasure_alone(verification: Verification) -> None:
    opened = await verification.open(CUSTOMER, "limited", ITEMS)
    (record,) = await verification.submit(opened, hardware())
    answer = await restrict(verification, "limited")
    assert (answer.record_count, answer.expire_time) == (1, record.expire_time)
    refused = await refusal(verification.read(record.name))
    assert (refused.reason_name, refused.metadata["restriction"]) == ("RESTRICTED", "objection_pending")
    assert "SetRestriction" in (refused.remedy or "")
    for_rights = processing_pb2.PURPOSE_RIGHTS_SUPPORT
    assert await verification.read(record.name, reader="support", purpose=for_rights)
    (later,) = await verification.submit(await verification.open(CUSTOMER, "limited", ITEMS), hardware())
    assert (await refusal(verification.read(later.name))).reason_name == "RESTRICTED"
    await restrict(verification, "limited", restricted=False)
    assert await verification.read(later.name)


async def test_nothing_more_is_collected_of_whoever_opted_out(verification: Verification) -> None:
    opened = await verification.open(CUSTOMER, "leaving", ITEMS)
    (before,) = await verification.submit(opened, hardware())
    await opt_out(verification, "leaving", "face_image")
    image = verification.upload(opened, noise(), data_pb2.FaceImage())
    assert (await refusal(image)).reason_name == "OPTED_OUT"
    assert await verification.submit(opened, hardware())
    await opt_out(verification, "leaving")
    assert (await refusal(verification.submit(opened, hardware()))).reason_name == "OPTED_OUT"
    assert (await refusal(verification.open(CUSTOMER, "leaving", ITEMS))).reason_name == "OPTED_OUT"
    assert await verification.read(before.name), "what was collected stays to its end"
    await opt_out(verification, "leaving", opted_out=False)
    assert await verification.submit(opened, hardware())


async def test_a_wide_deletion_that_races_uploads_and_is_killed_leaves_one_receipt_and_nothing_else(
    stack: LocalStack, verification: Verification
) -> None:
    opened = [await verification.open(CUSTOMER, f"gone-{number}", ITEMS) for number in range(4)]
    acknowledged = [record for each in opened for record in await verification.submit(each, hardware())]
    acknowledged.append((await verification.upload(opened[0], noise(), data_pb2.FaceImage())).record)
    kept = await verification.submit(await verification.open("acme", "kept", ITEMS), hardware())
    refused: list[str] = []

    async def write(each: Opened) -> None:
        try:
            acknowledged.extend(await verification.submit(each, hardware()))
        except IdvError as error:
            refused.append(error.reason_name)

    request_id = str(uuid.uuid4())
    everything = deletions_pb2.DeletionTarget(everything=True)
    writes = [asyncio.create_task(write(each)) for each in opened for _ in range(5)]
    asked = asyncio.create_task(verification.delete(CUSTOMER, everything, request_id=request_id))
    await stack.kill("storage")
    await asyncio.gather(*writes)
    try:
        deletion = await asked
    except IdvError as error:
        deletion = await verification.deletion(error.metadata["deletion"])
    assert (
        await verification.delete(CUSTOMER, everything, request_id=request_id)
    ).receipt == deletion.receipt
    receipts.verify(deletion.receipt.json, stack.log_public_key)
    assert set(refused) <= {"ERASED", "UNAVAILABLE"}
    for record in acknowledged:
        assert (await refusal(verification.read(record.name))).reason_name == "ERASED"
    assert (await refusal(verification.submit(opened[0], hardware()))).reason_name == "ERASED"
    assert await verification.read(kept[0].name)


async def test_a_dry_run_says_what_a_deletion_then_does(verification: Verification) -> None:
    opened = await verification.open(CUSTOMER, "counted", ITEMS)
    await verification.submit(opened, hardware())
    callers = verification.callers
    stub = callers.stub(DeletionServiceStub, "retention", callers.customer(CUSTOMER))
    request = deletions_pb2.CreateDeletionRequest(
        parent=f"customers/{CUSTOMER}",
        request_id=str(uuid.uuid4()),
        target=deletions_pb2.DeletionTarget(subject="counted"),
        dry_run=True,
    )
    counted = (await stub.CreateDeletion(request)).deletion
    request.dry_run = False
    done = (await stub.CreateDeletion(request)).deletion
    assert (counted.record_count, counted.session_count) == (done.record_count, done.session_count) == (1, 1)
