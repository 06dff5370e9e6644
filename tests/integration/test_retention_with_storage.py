"""Deletion over the real storage: each kind of target, what stays, and what a crash of either side leaves."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from idv import merkle, receipts
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2, log_pb2
from idv.retention.v1.deletions_pb2 import DeletionTarget
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from idv.types.v1 import data_pb2, processing_pb2, receipt_pb2

from services.local.stack import LocalStack
from tests.integration.callers import NOBODY, Callers
from tests.integration.test_durability import PASSING, acknowledged, noise
from tests.integration.verification import Opened, Verification
from tests.waiting import until

CUSTOMER = "acme"
PARENT = f"customers/{CUSTOMER}"


async def collected(verification: Verification, subject: str) -> tuple[Opened, list[processing_pb2.Record]]:
    """A session with two small records and an image."""
    opened = await verification.open(CUSTOMER, subject)
    items = data_pb2.ItemSet(
        device_hardware=data_pb2.DeviceHardware(model="One"),
        device_network=data_pb2.DeviceNetwork(carrier="Utopia Mobile"),
    )
    records = await verification.submit(opened, items)
    image = await verification.upload(opened, noise(), data_pb2.FaceImage())
    return opened, [*records, image.record]


async def outcome(verification: Verification, record: processing_pb2.Record) -> str:
    """READ, or why not."""
    try:
        await verification.read(record.name)
    except IdvError as error:
        return error.reason_name
    return "READ"


def proven(stack: LocalStack, deletion: deletions_pb2.Deletion) -> receipts.VerifiedReceipt:
    return receipts.verify(deletion.receipt.json, stack.log_public_key)


async def test_a_record_is_deleted_alone(stack: LocalStack, verification: Verification) -> None:
    _, records = await collected(verification, "by-record")
    target, request_id = DeletionTarget(record=records[2].name), str(uuid.uuid4())
    deletion = await verification.delete(CUSTOMER, target, request_id=request_id)
    entry = proven(stack, deletion).entry
    assert (entry["scope"], entry["record_count"], entry["object_count"]) == ("record", 1, 1)
    assert proven(stack, deletion).covers(request_id, {"record": records[2].name})
    assert [await outcome(verification, record) for record in records] == ["READ", "READ", "ERASED"]


async def test_a_session_is_deleted_with_all_that_is_in_it(
    stack: LocalStack, verification: Verification
) -> None:
    opened, records = await collected(verification, "by-session")
    _, others = await collected(verification, "by-session")
    deletion = await verification.delete(CUSTOMER, DeletionTarget(session=opened.name))
    entry = proven(stack, deletion).entry
    assert (entry["record_count"], entry["session_count"]) == (3, 1)
    assert {await outcome(verification, record) for record in records} == {"ERASED"}
    assert {await outcome(verification, record) for record in others} == {"READ"}


async def test_a_subject_is_deleted_across_its_sessions(
    stack: LocalStack, verification: Verification
) -> None:
    sessions = [await collected(verification, "by-subject") for _ in range(2)]
    _, others = await collected(verification, "somebody-else")
    deletion = await verification.delete(CUSTOMER, DeletionTarget(subject="by-subject"))
    entry = proven(stack, deletion).entry
    assert (entry["record_count"], entry["session_count"]) == (6, 2)
    assert entry["claim"]
    erased = [record for _, records in sessions for record in records]
    assert {await outcome(verification, record) for record in erased} == {"ERASED"}
    assert {await outcome(verification, record) for record in others} == {"READ"}


async def test_a_repeat_returns_the_same_receipt_and_other_content_is_refused(
    verification: Verification,
) -> None:
    await collected(verification, "repeated")
    target, request_id = DeletionTarget(subject="repeated"), str(uuid.uuid4())
    first = await verification.delete(CUSTOMER, target, request_id=request_id)
    again = await verification.delete(CUSTOMER, target, request_id=request_id)
    assert again.receipt.json == first.receipt.json
    with pytest.raises(IdvError) as refusal:
        await verification.delete(CUSTOMER, DeletionTarget(subject="other"), request_id=request_id)
    assert refusal.value.reason_name == "REQUEST_ID_REUSED"


async def test_what_does_not_exist_is_not_found_every_time(verification: Verification) -> None:
    opened, _ = await collected(verification, "not-found")
    missing = f"{opened.name}/records/0198c0de-0000-8000-8000-00000000000f"
    request_id = str(uuid.uuid4())
    for _ in range(2):
        with pytest.raises(IdvError) as refusal:
            await verification.delete(CUSTOMER, DeletionTarget(record=missing), request_id=request_id)
        assert refusal.value.reason_name == "NOT_FOUND"


async def test_a_customer_lists_its_records_and_who_read_them(
    callers: Callers, verification: Verification
) -> None:
    opened, records = await collected(verification, "listed")
    await verification.read(records[0].name)
    retention: Any = callers.stub(DeletionServiceStub, "retention", callers.customer(CUSTOMER))
    listed = await retention.ListRecords(deletions_pb2.ListRecordsRequest(parent=PARENT, session=opened.name))
    assert {record.name for record in listed.records} == {record.name for record in records}
    reads = await retention.ListAccesses(
        deletions_pb2.ListAccessesRequest(parent=PARENT, resource=records[0].name)
    )
    assert [(access.kind, access.record, access.service) for access in reads.accesses] == [
        (processing_pb2.ACCESS_KIND_LIST, "", "retention"),  # the listing of its session, just before
        (processing_pb2.ACCESS_KIND_READ, records[0].name, "verification"),
    ]


@pytest_asyncio.fixture(scope="module")
async def own(server_directory: Path) -> AsyncIterator[Callers]:
    """A stack whose processes these tests may kill."""
    async with LocalStack(server_directory / "retention") as stack, Callers(stack) as callers:
        yield callers


async def deletions_logged(callers: Callers) -> list[int]:
    """Indices of the leaves of deletions, once leaves, root and size were found to agree."""
    log: Any = callers.stub(TransparencyLogServiceStub, "retention", NOBODY)
    head = (await log.GetCheckpoint(log_pb2.GetCheckpointRequest())).checkpoint
    entries: list[receipt_pb2.LogEntry] = []
    while len(entries) < head.tree_size:
        page = await log.ListLogEntries(log_pb2.ListLogEntriesRequest(start_index=len(entries)))
        entries += page.entries
    entries = entries[: head.tree_size]
    assert [entry.index for entry in entries] == list(range(head.tree_size))
    assert merkle.root([merkle.leaf_hash(entry.leaf_data) for entry in entries]) == head.root_hash
    return [entry.index for entry in entries if entry.kind == receipt_pb2.ENTRY_KIND_DELETION]


@pytest.mark.parametrize("victim", ["retention", "storage", "postgres"])
async def test_deletions_during_which_a_process_is_killed_each_end_with_one_leaf_and_one_receipt(
    own: Callers, victim: str
) -> None:
    verification = Verification(own)
    before = await deletions_logged(own)
    subjects = [f"{victim}-{number}" for number in range(4)]
    everything = [await collected(verification, subject) for subject in subjects]

    async def delete(subject: str) -> deletions_pb2.Deletion:
        request_id, target = str(uuid.uuid4()), DeletionTarget(subject=subject)

        async def attempt() -> deletions_pb2.Deletion:
            return await verification.delete(CUSTOMER, target, request_id=request_id)

        done = await acknowledged(f"the deletion of {subject}", attempt)
        again = await acknowledged(f"the repeated deletion of {subject}", attempt)
        assert again.receipt.json == done.receipt.json
        return done

    at_work = [asyncio.create_task(delete(subject)) for subject in subjects]
    await asyncio.sleep(0.03)  # while they are under way; what must hold holds at any moment
    await own.stack.kill(victim)
    await own.stack.ready(victim)
    deletions = await asyncio.gather(*at_work)

    places = sorted(proven(own.stack, deletion).leaf_index for deletion in deletions)
    logged = await acknowledged("the audit of the log", lambda: deletions_logged(own))
    assert logged == sorted([*before, *places])
    for _, records in everything:
        assert {await settled(verification, record) for record in records} == {"ERASED"}


async def settled(verification: Verification, record: processing_pb2.Record) -> str:
    """READ, or why not for good: channels take a moment to find a process that was killed."""

    async def attempt() -> str | None:
        found = await outcome(verification, record)
        return None if found in PASSING else found

    return await until("the read is answered", attempt)
