"""Deletions of wide scopes and of several targets: one leaf and one receipt, with an outcome for each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv import receipts
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb
from idv.storage.v1 import storage_pb2

from services.local.databases import ServiceDatabase
from services.retention import erasing, targets
from tests.retention_parts import SIGNER, HeldStorage, Retention, replica, serving, stamp, unavailable
from tests.set_clock import START

ACME = "acme"
PARENT = "customers/acme"
SESSION = f"{PARENT}/sessions/0197f0a0-0000-7000-8000-000000000001"
SEVERAL = targets.parse(
    PARENT,
    pb.DeletionTarget(targets=pb.DeletionTargets(sessions=[SESSION], subjects=["one", "two", "three"])),
)
WIDE: list[pb.DeletionTarget] = [
    pb.DeletionTarget(category="face_image"),
    pb.DeletionTarget(everything=True),
    pb.DeletionTarget(
        received=pb.TimeRange(start_time=stamp(START - timedelta(hours=1)), end_time=stamp(START))
    ),
]


async def leaf_sources(part: Retention) -> list[str]:
    rows, _ = await part.log.leaves(0, 1000)
    return [row.source for row in rows]


def refuse(*names: str, reason: Reason.ValueType = Reason.ERROR_REASON_NOT_FOUND) -> Any:
    """Storage refuses these sessions and subjects for good."""
    return lambda target: IdvError(reason, "no") if {target.session, target.subject} & {*names} else None


@pytest.mark.parametrize("asked", WIDE, ids=lambda asked: asked.WhichOneof("target"))
async def test_a_wide_scope_goes_to_storage_as_asked_and_its_receipt_covers_it(
    service_database: ServiceDatabase, asked: pb.DeletionTarget
) -> None:
    storage, request_id, target = HeldStorage(), uuid4(), targets.parse(PARENT, asked)
    async with serving(storage) as address, replica(service_database, address) as part:
        done = await part.deletions.create(ACME, request_id, target)
        assert await part.deletions.create(ACME, request_id, target) == done
    sent = storage.erasures[str(done.deletion)].target
    assert sent == storage_pb2.ErasureTarget.FromString(asked.SerializeToString())
    verified = receipts.verify(done.receipt or "", SIGNER.published())
    assert verified.covers(str(request_id), target)
    assert verified.entry["scope"] == asked.WhichOneof("target")
    assert "target_count" not in verified.entry


async def test_a_large_one_answers_running_and_the_job_takes_it_to_its_end(
    service_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_PATIENCE", 0.0)
    storage, request_id = HeldStorage(rounds=5), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        running = await part.deletions.create(ACME, request_id, {"everything": "true"})
        assert (running.state, running.progress_done, running.progress_total) == (
            pb.DELETION_STATE_RUNNING,
            1,
            5,
        )
        assert running.receipt is None
        await part.resumption.run()
        done = await part.deletions.get(ACME, running.deletion)
        assert (done.state, done.record_count) == (pb.DELETION_STATE_DONE, 9)
        assert storage.asked_of == {str(done.deletion): 5}
        assert await leaf_sources(part) == [f"deletion/{done.deletion}"]
        assert await part.deletions.create(ACME, request_id, {"everything": "true"}) == done


async def test_several_targets_end_with_an_outcome_each_and_one_receipt(
    service_database: ServiceDatabase,
) -> None:
    storage, request_id = HeldStorage(), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        done = await part.deletions.create(ACME, request_id, SEVERAL)
        assert done.state == pb.DELETION_STATE_DONE
        assert [(one["scope"], one["index"]) for one in done.outcomes or ()] == [
            *(("session", 0), ("subject", 0), ("subject", 1), ("subject", 2)),
        ]
        assert (done.record_count, done.session_count) == (36, 8)
        assert len(storage.erasures) == 4
        verified = receipts.verify(done.receipt or "", SIGNER.published())
        assert verified.covers(str(request_id), SEVERAL)
        assert (verified.entry["target_count"], verified.entry["failed_count"]) == (4, 0)
        assert await leaf_sources(part) == [f"deletion/{done.deletion}"]
        assert await part.deletions.create(ACME, request_id, SEVERAL) == done
        assert storage.calls == 4


async def test_what_fails_for_good_leaves_the_others_done(service_database: ServiceDatabase) -> None:
    storage, request_id = HeldStorage(refuses=refuse(SESSION, "two")), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        done = await part.deletions.create(ACME, request_id, SEVERAL)
        assert done.state == pb.DELETION_STATE_PARTIAL
        failures = [one["failure"] for one in done.outcomes or ()]
        assert failures == ["ERROR_REASON_NOT_FOUND", "", "ERROR_REASON_NOT_FOUND", ""]
        verified = receipts.verify(done.receipt or "", SIGNER.published())
        assert (verified.entry["record_count"], verified.entry["failed_count"]) == (18, 2)
        assert await part.deletions.create(ACME, request_id, SEVERAL) == done
        part.clock.advance(days=1)
        await part.resumption.run()
        assert await leaf_sources(part) == [f"deletion/{done.deletion}"]


async def test_when_all_fail_the_deletion_fails_without_a_receipt(service_database: ServiceDatabase) -> None:
    storage = HeldStorage(refuses=refuse(SESSION, "one", "two", "three"))
    async with serving(storage) as address, replica(service_database, address) as part:
        with pytest.raises(IdvError) as refused:
            await part.deletions.create(ACME, uuid4(), SEVERAL)
        assert refused.value.reason_name == "NOT_FOUND"
        name = UUID(refused.value.metadata["deletion"].rpartition("/")[2])
        failed = await part.deletions.get(ACME, name)
        assert (failed.state, failed.receipt) == (pb.DELETION_STATE_FAILED, None)
        assert len(failed.outcomes or ()) == 4
        assert await leaf_sources(part) == []


async def test_interrupted_among_several_it_goes_on_with_those_that_are_left(
    service_database: ServiceDatabase,
) -> None:
    away = refuse("two", reason=Reason.ERROR_REASON_UNAVAILABLE)
    storage, request_id = HeldStorage(refuses=away), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        with pytest.raises(IdvError) as refused:
            await part.deletions.create(ACME, request_id, SEVERAL)
        assert refused.value.reason_name == "UNAVAILABLE"
        name = UUID(refused.value.metadata["deletion"].rpartition("/")[2])
        running = await part.deletions.get(ACME, name)
        states = [one["state"] for one in running.outcomes or ()]
        done, pending = pb.DELETION_STATE_DONE, pb.DELETION_STATE_PENDING
        assert (states, running.progress_done) == ([done, done, pending, pending], 2)
        storage.refuses = lambda target: None
        part.clock.advance(minutes=5)
        await part.resumption.run()
        ended = await part.deletions.get(ACME, name)
        assert ended.state == pb.DELETION_STATE_DONE
        assert list(storage.asked_of.values()) == [1, 1, 1, 1], "none is erased twice"


async def test_a_dry_run_of_several_counts_each(service_database: ServiceDatabase) -> None:
    storage = HeldStorage(refuses=refuse("two"))
    async with serving(storage) as address, replica(service_database, address) as part:
        counted = await part.deletions.preview(ACME, SEVERAL)
        assert [one.record_count for one in counted] == [9, 9, 0, 9]
        assert counted[2].failure == "ERROR_REASON_NOT_FOUND"
        with pytest.raises(IdvError) as refused:
            await part.deletions.preview(ACME, {"subject": "two"})
        assert refused.value.reason_name == "NOT_FOUND"
        storage.refuses = lambda target: unavailable()
        with pytest.raises(IdvError, match="away"):
            await part.deletions.preview(ACME, SEVERAL)
        assert (storage.calls, await part.deletions.list(ACME, 10, None)) == (0, [])


async def test_five_hundred_targets_are_taken_and_one_more_is_not(service_database: ServiceDatabase) -> None:
    subjects = [f"subject-{number}" for number in range(500)]
    most = targets.parse(PARENT, pb.DeletionTarget(targets=pb.DeletionTargets(subjects=subjects)))
    storage, request_id = HeldStorage(), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        done = await part.deletions.create(ACME, request_id, most)
        while done.state == pb.DELETION_STATE_RUNNING:  # on a slow machine the job does the rest
            await part.resumption.run()
            done = await part.deletions.get(ACME, done.deletion)
        assert (done.state, len(done.outcomes or ())) == (pb.DELETION_STATE_DONE, 500)
        assert receipts.verify(done.receipt or "", SIGNER.published()).covers(str(request_id), most)
    more = pb.DeletionTargets(subjects=subjects, sessions=[SESSION])
    with pytest.raises(IdvError, match="1 to 500"):
        targets.parse(PARENT, pb.DeletionTarget(targets=more))


def test_a_range_that_names_no_instant_is_refused() -> None:
    wrong = pb.TimeRange(start_time=Timestamp(seconds=10**12), end_time=stamp(START))
    with pytest.raises(IdvError) as refused:
        targets.parse(PARENT, pb.DeletionTarget(received=wrong))
    assert (refused.value.reason_name, refused.value.field) == ("TIME_OUT_OF_RANGE", "target.received")
