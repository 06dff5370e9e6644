"""The main path by the clock: announced, collected, read, deleted, expired to the second, gone, and proven.

One stack, one story: each test goes on from the instant at which the one before it left the clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from idv import merkle
from idv.errors import IdvError
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.retention.v1 import deletions_pb2, log_pb2
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from idv.types.v1 import data_pb2, processing_pb2, receipt_pb2

from services.local.stack import LocalStack
from services.storage.authority import KeyDestroyedError, LocalSlots
from services.storage.slots import SlotFile
from tests.integration import insides
from tests.integration.callers import NOBODY, Callers
from tests.integration.story import SLOT, TERM, Story, instant, key_due, newest_root_key
from tests.integration.test_durability import noise
from tests.integration.verification import Verification
from tests.waiting import until

CUSTOMER = "acme"
LAST_SLOT_ENDS = timedelta(hours=26)
LOGGED_WITHIN = 60.0
"""Seconds of real time for what the periodic jobs do."""


@pytest_asyncio.fixture(scope="module")
async def story(server_directory: Path) -> AsyncIterator[Story]:
    async with LocalStack(server_directory / "story") as stack, Callers(stack) as callers:
        # Noon: a story that begins just before midnight would spread over two days.
        noon = datetime.combine(stack.clock.now().date() + timedelta(days=1), time(12, 1), UTC)
        stack.travel(to=noon)
        yield Story(stack, callers, Verification(callers))


async def test_the_notice_is_in_force_and_its_announcement_logged(story: Story) -> None:
    notice = story.callers.stub(NoticeServiceStub, "notice", NOBODY)
    answer = await notice.GetNotice(notice_pb2.GetNoticeRequest())
    assert answer.notice.version == 1
    assert answer.notice.state == notice_pb2.NOTICE_STATE_IN_FORCE
    assert answer.notice.terms.retention_days == TERM.days
    announced = await until(
        "the announcement is logged",
        lambda: story.leaves(receipt_pb2.ENTRY_KIND_NOTICE_ANNOUNCEMENT),
        seconds=LOGGED_WITHIN,
    )
    assert len(announced) == 1


async def test_data_collected_under_it_is_read_with_a_purpose(story: Story) -> None:
    verification = story.verification
    opened = await verification.open(CUSTOMER, "subject-1")
    items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(manufacturer="Utopia", model="One"))
    story.small = (await verification.submit(opened, items))[0]
    story.image = (await verification.upload(opened, noise(), data_pb2.FaceImage())).record
    assert instant(story.small.expire_time) == instant(story.small.receive_time) + TERM
    for record in (story.small, story.image):
        story.bodies[record.name] = await verification.read(record.name)
    assert story.bodies[story.small.name] == items.device_hardware.SerializeToString(deterministic=True)
    assert len(story.bodies[story.image.name]) == story.image.size_bytes


async def test_a_deletion_is_proven_by_a_receipt_that_verifies_offline(story: Story) -> None:
    verification = story.verification
    opened = await verification.open(CUSTOMER, "subject-2")
    answer = await verification.upload(opened, noise(), data_pb2.FaceImage())
    deletion = await verification.delete(CUSTOMER, deletions_pb2.DeletionTarget(subject="subject-2"))
    assert await story.refused(answer.record) == "ERASED"
    done = await verification.deletion(deletion.name)
    proven = story.verify(done.receipt.json)
    assert proven.kind == "deletion"
    assert "subject-2" not in done.receipt.json
    # Until keys can be destroyed record by record, no copy can be opened once the quarter-hour's key is gone.
    assert proven.final_time == key_due(answer.record)
    story.proofs.append(done.receipt.json)
    story.checkpoint = await story.newest_checkpoint()


async def test_a_record_is_readable_one_second_before_its_term_ends(story: Story) -> None:
    for record in sorted((story.small, story.image), key=lambda record: instant(record.expire_time)):
        body = await until("it is read in its last second", partial(read_in_its_last_second, story, record))
        assert body == story.bodies[record.name]
    story.root_key = await newest_root_key(story)


async def read_in_its_last_second(story: Story, record: processing_pb2.Record) -> bytes | None:
    """The body; None when the machine was too slow for that second, which then is tried again."""
    end = instant(record.expire_time)
    story.stack.travel(to=end - timedelta(seconds=1))
    try:
        return await story.verification.read(record.name)
    except IdvError:
        if story.stack.clock.now() < end:
            raise
    return None


async def test_it_is_unreadable_from_the_second_on(story: Story) -> None:
    story.stack.travel(to=max(instant(story.small.expire_time), instant(story.image.expire_time)))
    for record in (story.small, story.image):
        assert await story.refused(record) == "EXPIRED"


async def test_nothing_new_is_listed_as_readable(story: Story) -> None:
    listed = await story.verification.records(CUSTOMER, subject="subject-1")
    assert all(record.state != processing_pb2.RECORD_STATE_ACTIVE for record in listed)


async def test_its_key_is_destroyed_within_the_quarter_hour(story: Story) -> None:
    """Whoever kept a copy of the database and the bucket has nothing that opens it."""
    copied = story.root_key
    assert copied is not None
    assert key_due(story.image) - story.received <= TERM + SLOT
    story.stack.travel(to=key_due(story.image))

    async def is_destroyed() -> bool:
        async with insides.superuser(story.stack) as connection:
            row = await connection.fetchrow(
                "SELECT sealed, destroy_time FROM storage.root_keys WHERE day = $1 AND slot = $2",
                *(copied.day, copied.slot),
            )
        return row is not None and row["sealed"] is None and row["destroy_time"] >= key_due(story.image)

    await until("the root key is destroyed", is_destroyed, seconds=LOGGED_WITHIN)
    slots = SlotFile(next(insides.files(story.stack.layout.authority)))
    authority = LocalSlots(slots)
    with pytest.raises(KeyDestroyedError):
        await authority.open(copied.name, copied.version, copied.sealed)
    slots.close()
    assert await story.refused(story.image) == "EXPIRED"


async def test_putting_the_clock_back_does_not_bring_it_back(story: Story) -> None:
    """It is not a date that keeps it closed: what could open it does not exist."""
    story.stack.travel(to=instant(story.image.expire_time) - timedelta(hours=1))
    assert await story.refused(story.image) == "EXPIRED"
    story.stack.travel(to=key_due(story.image) + timedelta(seconds=5))


async def test_the_destruction_is_a_leaf_of_the_log_with_its_due_time(story: Story) -> None:
    assert story.root_key is not None
    slot, day = story.root_key.slot, story.root_key.day.isoformat()

    async def logged() -> list[dict[str, Any]]:
        leaves = await story.leaves(receipt_pb2.ENTRY_KIND_KEY_DESTRUCTION)
        return [leaf for leaf in leaves if (leaf["day"], leaf["slot"]) == (day, slot)]

    leaves = await until("the destruction is logged", logged, seconds=LOGGED_WITHIN)
    assert len(leaves) == 1
    late = datetime.fromisoformat(leaves[0]["destroy_time"]) - datetime.fromisoformat(leaves[0]["due_time"])
    assert timedelta() <= late <= timedelta(minutes=15)


async def test_the_bytes_of_the_day_go_with_its_partitions_and_its_bucket(story: Story) -> None:
    suffix = f"{story.day:%Y%m%d}"
    assert any(name.endswith(suffix) for name in await insides.buckets(story.stack))
    midnight = datetime.combine(story.day, time.min, UTC)
    story.stack.travel(to=midnight + LAST_SLOT_ENDS + TERM)

    async def is_gone() -> bool:
        left = await insides.partitions(story.stack) | await insides.buckets(story.stack)
        return not any(name.endswith(suffix) for name in left)

    await until("partitions and bucket of the day are gone", is_gone, seconds=LOGGED_WITHIN)

    async def is_logged() -> bool:
        leaves = await story.leaves(receipt_pb2.ENTRY_KIND_DAY_REMOVAL)
        return any(leaf["day"] == story.day.isoformat() for leaf in leaves)

    await until("the day's removal is logged", is_logged, seconds=LOGGED_WITHIN)
    assert await story.refused(story.image) in {"EXPIRED", "NOT_FOUND"}


async def test_the_log_only_ever_grew(story: Story) -> None:
    """The checkpoint of a month ago is the beginning of today's."""
    log = story.callers.stub(TransparencyLogServiceStub, "retention", NOBODY)
    newest = await story.newest_checkpoint()
    request = log_pb2.GetConsistencyProofRequest(
        first_size=story.checkpoint.tree_size, second_size=newest.tree_size
    )
    proof = await log.GetConsistencyProof(request)
    merkle.verify_consistency(
        *(story.checkpoint.tree_size, newest.tree_size, story.checkpoint.root_hash, newest.root_hash),
        list(proof.hashes),
    )


async def test_every_earlier_receipt_still_verifies(story: Story) -> None:
    """After everything it speaks of is gone."""
    assert story.proofs
    for receipt in story.proofs:
        assert story.verify(receipt).kind == "deletion"


async def test_data_is_collected_again_on_the_present_day(story: Story) -> None:
    """The jump of a month left nothing stuck: new days have their partitions, keys and buckets."""
    opened = await story.verification.open(CUSTOMER, "subject-3")
    record = (await story.verification.upload(opened, noise(), data_pb2.FaceImage())).record
    assert len(await story.verification.read(record.name)) == record.size_bytes
