"""Knowing and correcting through the Customer, by the public contract alone."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import zipfile
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.types.v1 import data_pb2, processing_pb2

from tests.integration.test_durability import noise
from tests.integration.test_rights import CUSTOMER, ITEMS, hardware, refusal, restrict, rights
from tests.integration.verification import Opened, Verification

HOSTILE = '<script>alert("x")</script>&\u202e'


async def export(
    verification: Verification, subject: str, *, request_id: str | None = None, offset: int = 0
) -> bytes:
    request = rights_pb2.ExportSubjectRequest(
        parent=f"customers/{CUSTOMER}",
        request_id=request_id or str(uuid.uuid4()),
        subject=subject,
        offset=offset,
    )
    body = bytearray()
    async for part in rights(verification).ExportSubject(request, timeout=60):
        assert part.offset == offset + len(body)
        body += part.chunk
    return bytes(body)


async def correct(
    verification: Verification, record: str, items: data_pb2.ItemSet, request_id: str | None = None
) -> Any:
    request = rights_pb2.CorrectRecordRequest(
        name=record, request_id=request_id or str(uuid.uuid4()), items=items
    )
    return await rights(verification).CorrectRecord(request)


async def collected(
    verification: Verification, subject: str
) -> tuple[Opened, processing_pb2.Record, processing_pb2.Record]:
    opened = await verification.open(CUSTOMER, subject, ITEMS)
    (small,) = await verification.submit(opened, hardware())
    image = (await verification.upload(opened, noise(), data_pb2.FaceImage())).record
    return opened, small, image


async def test_an_export_holds_everything_with_digests_and_an_index_that_runs_nothing(
    verification: Verification,
) -> None:
    _, small, image = await collected(verification, HOSTILE)
    await verification.read(image.name)
    await restrict(verification, HOSTILE)
    archive = zipfile.ZipFile(io.BytesIO(await export(verification, HOSTILE)))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    listed = {entry["path"]: entry for entry in manifest["entries"]}
    assert {*listed, "manifest.json"} == set(archive.namelist())
    for path, entry in listed.items():
        body = archive.read(path)
        assert (len(body), hashlib.sha256(body).hexdigest()) == (entry["size"], entry["sha256"])
    (session,) = (json.loads(archive.read(path)) for path in listed if path.startswith("sessions/"))
    assert session["subject"] == HOSTILE
    assert session["attestation"]["reference"] == "consent-1"
    assert [access["record"] for access in session["accesses"] if access["service"] == "verification"]
    values = [
        json.loads(archive.read(path))
        for path in listed
        if path.startswith("records/")
        if path.endswith("json")
    ]
    assert {"model": "X-100"} in [value.get("items") for value in values]
    (shown,) = (
        archive.read(path).decode() for path in listed if path.endswith(".html") and "records/" in path
    )
    assert "X-100" in shown
    original = next(path for path in listed if path.endswith(".jpg"))
    assert archive.read(original) == await verification.read(
        image.name, reader="support", purpose=processing_pb2.PURPOSE_RIGHTS_SUPPORT
    )
    assert {"notices/1/terms.json", "notices/1/text.md"} <= set(listed)
    page, text = archive.read("index.html").decode(), archive.read("index.txt").decode()
    assert "<script" not in page
    assert "\u202e" not in page + text
    assert small.name.rpartition("/")[2] in page


async def test_an_export_resumed_anywhere_gives_the_same_bytes(verification: Verification) -> None:
    await collected(verification, "resumed")
    request_id = str(uuid.uuid4())
    whole = await export(verification, "resumed", request_id=request_id)
    later, _, _ = await collected(verification, "resumed")
    assert later
    ends = [whole.index(b"PK\x01\x02"), whole.index(b"PK\x06\x06"), len(whole) - 1, len(whole)]
    for cut in [0, 1, 29, 64, *range(500, len(whole), max(1, len(whole) // 12)), *ends]:
        assert await export(verification, "resumed", request_id=request_id, offset=cut) == whole[cut:], cut
    beyond = export(verification, "resumed", request_id=request_id, offset=len(whole) + 1)
    assert (await refusal(beyond)).reason_name == "INVALID_ARGUMENT"
    other = export(verification, "another", request_id=request_id)
    assert (await refusal(other)).reason_name == "REQUEST_ID_REUSED"
    unknown = export(verification, "resumed", offset=10)
    assert (await refusal(unknown)).reason_name == "WRONG_STATE"


async def test_an_export_does_not_go_on_once_anything_of_it_is_gone(verification: Verification) -> None:
    _, small, _ = await collected(verification, "shrinking")
    request_id = str(uuid.uuid4())
    whole = await export(verification, "shrinking", request_id=request_id)
    await verification.delete(CUSTOMER, deletions_pb2.DeletionTarget(record=small.name))
    refused = await refusal(export(verification, "shrinking", request_id=request_id, offset=len(whole) // 2))
    assert refused.reason_name == "WRONG_STATE"
    assert "new request id" in (refused.remedy or "")
    again = zipfile.ZipFile(io.BytesIO(await export(verification, "shrinking")))
    assert small.name.rpartition("/")[2] not in "".join(again.namelist())


async def test_a_cancelled_export_is_resumed_and_another_customers_is_refused(
    verification: Verification,
) -> None:
    await collected(verification, "cut")
    request = rights_pb2.ExportSubjectRequest(
        parent=f"customers/{CUSTOMER}", request_id=str(uuid.uuid4()), subject="cut"
    )
    call = rights(verification).ExportSubject(request, timeout=60)
    first = await anext(aiter(call))
    call.cancel()
    rest = await export(verification, "cut", request_id=request.request_id, offset=len(first.chunk))
    assert zipfile.ZipFile(io.BytesIO(first.chunk + rest)).testzip() is None
    request.parent = "customers/acme"
    with pytest.raises(IdvError) as refused:
        await anext(aiter(rights(verification).ExportSubject(request, timeout=60)))
    assert refused.value.reason_name == "WRONG_TENANT"


async def test_everything_of_a_customer_is_exported(verification: Verification) -> None:
    _, small, image = await collected(verification, "one of many")
    request = rights_pb2.ExportCustomerRequest(parent=f"customers/{CUSTOMER}", request_id=str(uuid.uuid4()))
    parts = [part async for part in rights(verification).ExportCustomer(request, timeout=120)]
    names = "".join(zipfile.ZipFile(io.BytesIO(b"".join(part.chunk for part in parts))).namelist())
    assert small.name.rpartition("/")[2] in names
    assert image.name.rpartition("/")[2] in names


async def test_a_correction_supersedes_the_wrong_record_which_is_erased_with_a_receipt(
    verification: Verification,
) -> None:
    opened, small, image = await collected(verification, "corrected")
    right = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-200"))
    request_id = str(uuid.uuid4())
    answer = await correct(verification, small.name, right, request_id)
    assert (answer.record.supersedes, answer.record.expire_time) == (small.name, small.expire_time)
    assert await correct(verification, small.name, right, request_id) == answer
    assert (await refusal(verification.read(small.name))).reason_name == "ERASED"
    assert await verification.read(answer.record.name) == right.device_hardware.SerializeToString()
    deletion = await verification.deletion(answer.deletion)
    assert (deletion.record_count, deletion.state) == (1, deletions_pb2.DELETION_STATE_DONE)
    assert small.name not in {each.name for each in await verification.records(CUSTOMER, session=opened.name)}
    wrong = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-300"))
    for record, items, used, reason in (
        (small.name, wrong, request_id, "REQUEST_ID_REUSED"),
        (small.name, wrong, None, "ERASED"),
        (image.name, wrong, None, "INVALID_ARGUMENT"),
        (answer.record.name, data_pb2.ItemSet(log_data=data_pb2.LogData()), None, "INVALID_ARGUMENT"),
        (answer.record.name, data_pb2.ItemSet(), None, "INVALID_ARGUMENT"),
        (
            answer.record.name,
            data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(idfv="not asked for")),
            None,
            "ITEM_NOT_REQUESTED",
        ),
        (
            answer.record.name,
            data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(boot_time=Timestamp(seconds=1))),
            None,
            "TIME_OUT_OF_RANGE",
        ),
    ):
        assert (await refusal(correct(verification, record, items, used))).reason_name == reason
    again = await correct(verification, answer.record.name, wrong)
    assert again.record.supersedes == answer.record.name
