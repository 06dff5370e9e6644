"""The methods on deletions: by each target, refused by field, listed, counted, watched to the end."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any
from uuid import uuid4

from idv import receipts
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb
from idv.retention.v1 import log_pb2

from tests.retention_parts import unavailable
from tests.retention_process import (
    ACME,
    FOREIGN,
    RECORD,
    SESSION,
    SUBJECT,
    Service,
    deletion,
    refusal,
)
from tests.waiting import until

TOO_MANY = ("INVALID_ARGUMENT", "target.targets")


async def test_a_customer_deletes_and_verifies_its_receipt_with_the_published_key(retention: Service) -> None:
    for target in ({"record": RECORD}, {"session": SESSION}, {"subject": SUBJECT}):
        await deletes_and_verifies(retention, target)


async def deletes_and_verifies(retention: Service, target: dict[str, str]) -> None:
    request_id = str(uuid4())
    made = await retention.delete(request_id, **target)
    assert made.state == pb.DELETION_STATE_DONE
    assert made.scope == next(iter(target))
    head = await retention.log.GetCheckpoint(log_pb2.GetCheckpointRequest())
    verified = receipts.verify(made.receipt.json, head.verifier_key)
    assert verified.leaf_index == made.receipt.leaf_index
    assert verified.final_time == made.receipt.final_time.ToDatetime(UTC)
    assert verified.covers(request_id, target)
    again = await retention.delete(request_id, **target)
    assert again.SerializeToString(deterministic=True) == made.SerializeToString(deterministic=True)
    got = await retention.deletions.GetDeletion(pb.GetDeletionRequest(name=made.name))
    assert got.deletion == made


async def test_a_target_that_cannot_be_deleted_is_refused_by_field(retention: Service) -> None:
    refusals: list[tuple[dict[str, Any], str, str]] = [
        ({"record": RECORD.replace("acme", "globex")}, "WRONG_TENANT", "target.record"),
        ({"session": SESSION.replace("acme", "globex")}, "WRONG_TENANT", "target.session"),
        ({"record": SESSION}, "INVALID_ARGUMENT", "target.record"),
        ({"session": RECORD}, "INVALID_ARGUMENT", "target.session"),
        ({"session": "no name"}, "INVALID_ARGUMENT", "target.session"),
        ({"subject": ""}, "INVALID_ARGUMENT", "target.subject"),
        ({}, "INVALID_ARGUMENT", "target.target"),
        ({"targets": pb.DeletionTargets()}, "INVALID_ARGUMENT", "target.targets"),
        ({"targets": pb.DeletionTargets(subjects=["s"] * 500, sessions=[SESSION])}, *TOO_MANY),
        ({"targets": pb.DeletionTargets(records=[SESSION])}, "INVALID_ARGUMENT", "target.targets.records"),
        ({"targets": pb.DeletionTargets(sessions=[FOREIGN])}, "WRONG_TENANT", "target.targets.sessions"),
    ]
    for target, reason, field in refusals:
        refused = await refusal(retention.deletions.CreateDeletion(deletion(**target)))
        assert (refused.reason_name, refused.field) == (reason, field)
    assert retention.storage.calls == 0
    listed = await retention.deletions.ListDeletions(pb.ListDeletionsRequest(parent=ACME))
    assert not listed.deletions


async def test_another_customers_deletions_are_out_of_reach(retention: Service) -> None:
    made = await retention.delete(subject=SUBJECT)
    for name, reason in (
        (made.name.replace("acme", "globex"), "WRONG_TENANT"),
        (f"{ACME}/deletions/{uuid4()}", "NOT_FOUND"),
        ("customers/acme/deletions/none", "INVALID_ARGUMENT"),
    ):
        refused = await refusal(retention.deletions.GetDeletion(pb.GetDeletionRequest(name=name)))
        assert refused.reason_name == reason


async def test_deletions_are_listed_page_by_page(retention: Service) -> None:
    made = [(await retention.delete(subject=f"{SUBJECT}-{number}")).name for number in range(5)]
    listed, token = [], ""
    while True:
        request = pb.ListDeletionsRequest(parent=ACME, page_size=2, page_token=token)
        page = await retention.deletions.ListDeletions(request)
        assert len(page.deletions) <= 2
        listed += [one.name for one in page.deletions]
        token = page.next_page_token
        if not token:
            break
    assert sorted(listed) == sorted(made)
    wrong = pb.ListDeletionsRequest(parent=ACME, page_token="no token")
    assert (await refusal(retention.deletions.ListDeletions(wrong))).field == "page_token"


async def test_a_dry_run_counts_and_records_nothing(retention: Service) -> None:
    count = deletion(everything=True)
    count.dry_run = True
    counted = (await retention.deletions.CreateDeletion(count)).deletion
    assert (counted.scope, counted.record_count, counted.session_count) == ("everything", 9, 2)
    assert not counted.name
    assert not counted.HasField("receipt")
    assert retention.storage.calls == 0
    listed = await retention.deletions.ListDeletions(pb.ListDeletionsRequest(parent=ACME))
    assert not listed.deletions
    count.dry_run = False
    assert (await retention.deletions.CreateDeletion(count)).deletion.name, "its request id is not used up"


async def test_a_deletion_that_waits_for_storage_is_watched_to_its_end(retention: Service) -> None:
    retention.storage.refusal = unavailable()
    refused = await refusal(retention.deletions.CreateDeletion(deletion(subject=SUBJECT)))
    assert refused.reason_name == "UNAVAILABLE"
    assert refused.retry_after
    states = []
    async for change in retention.deletions.WatchDeletion(
        pb.WatchDeletionRequest(name=refused.metadata["deletion"])
    ):
        states.append(change.deletion.state)
        retention.storage.refusal = None
    assert states[0] == pb.DELETION_STATE_RUNNING
    assert states[-1] == pb.DELETION_STATE_DONE


async def test_a_large_deletion_is_watched_with_its_progress_to_its_end(retention: Service) -> None:
    retention.storage.rounds = 4
    held = asyncio.Event()

    async def hold(_request: object) -> None:
        if retention.storage.calls > 1:
            await held.wait()

    retention.storage.before = hold
    asked = asyncio.create_task(retention.delete(everything=True))

    async def recorded() -> pb.Deletion | None:
        listed = await retention.deletions.ListDeletions(pb.ListDeletionsRequest(parent=ACME))
        return next((one for one in listed.deletions if one.progress_done), None)

    running_one: pb.Deletion = await until("its progress is noted", recorded)
    assert (running_one.progress_done, running_one.progress_total) == (1, 4)
    assert running_one.expected_completion_time.seconds > running_one.receive_time.seconds
    seen = []
    watch = pb.WatchDeletionRequest(name=running_one.name)
    async for change in retention.deletions.WatchDeletion(watch):
        seen.append((change.deletion.progress_done, change.deletion.state))
        held.set()
    assert seen == sorted(seen)
    assert seen[-1][1] == pb.DELETION_STATE_DONE
    assert (await asked).receipt.json


async def test_a_deletion_that_failed_for_good_says_why(retention: Service) -> None:
    retention.storage.refusal = IdvError(Reason.ERROR_REASON_NOT_FOUND, "no such session")
    refused = await refusal(retention.deletions.CreateDeletion(deletion(session=SESSION)))
    assert refused.reason_name == "NOT_FOUND"
    got = await retention.deletions.GetDeletion(pb.GetDeletionRequest(name=refused.metadata["deletion"]))
    assert got.deletion.state == pb.DELETION_STATE_FAILED
    assert got.deletion.failure_reason == Reason.ERROR_REASON_NOT_FOUND
    assert not got.deletion.HasField("receipt")
