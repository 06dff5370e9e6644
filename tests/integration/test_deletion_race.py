"""A deletion that races a hundred uploads of its subject leaves no readable record, body or object."""

from __future__ import annotations

import asyncio
import uuid

from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.types.v1 import data_pb2, processing_pb2

from services.local.stack import LocalStack
from tests.integration import insides
from tests.integration.test_durability import noise
from tests.integration.verification import Opened, Verification
from tests.waiting import until

CUSTOMER = "globex"
SUBJECT = "raced-subject"
SESSIONS = 10
UPLOADS_PER_SESSION = 10
IMAGE_EVERY = 4
# How an upload may end that comes after the deletion.
TOO_LATE = {"ERASED", "SESSION_CLOSED"}


class Race:
    """A hundred uploads, and what became of each."""

    def __init__(self, verification: Verification) -> None:
        self._verification = verification
        self._image = noise()
        self.acknowledged: list[str] = []
        self.refused: list[str] = []

    async def into(self, opened: Opened) -> None:
        """Uploads one after the other, at least ten, and goes on until the deletion has come in between."""
        index, accepted = 0, True
        while accepted or index < UPLOADS_PER_SESSION:
            accepted = await self.upload(opened, index)
            index += 1

    async def upload(self, opened: Opened, index: int) -> bool:
        """Uploads an image or items; whether they were accepted."""
        try:
            if index % IMAGE_EVERY == 0:
                answer = await self._verification.upload(opened, self._image, data_pb2.FaceImage())
                self.acknowledged.append(answer.record.name)
            else:
                items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model=f"model {index}"))
                self.acknowledged += [
                    record.name for record in await self._verification.submit(opened, items)
                ]
        except IdvError as error:
            if error.reason_name not in TOO_LATE:
                raise
            self.refused.append(error.reason_name)
            return False
        return True


async def is_gone(verification: Verification, record: str) -> bool:
    try:
        await verification.read(record)
    except IdvError as error:
        return error.reason_name in {"ERASED", "NOT_FOUND"}
    return False


async def test_a_deletion_racing_a_hundred_uploads_leaves_nothing(
    stack: LocalStack, verification: Verification
) -> None:
    objects_before = await insides.objects(stack)
    sessions = [await verification.open(CUSTOMER, SUBJECT) for _ in range(SESSIONS)]
    race = Race(verification)
    async with asyncio.TaskGroup() as group:
        for opened in sessions:
            group.create_task(race.into(opened))
        await until("a third is acknowledged", lambda: len(race.acknowledged) > 30, seconds=60)
        deletion = await verification.delete(CUSTOMER, deletions_pb2.DeletionTarget(subject=SUBJECT))

    assert len(race.acknowledged) + len(race.refused) >= SESSIONS * UPLOADS_PER_SESSION
    assert len(race.refused) >= SESSIONS, "the deletion fell between the uploads of every session"
    assert deletion.session_count == SESSIONS
    assert deletion.record_count == len(race.acknowledged), (
        "every acknowledged upload came before the deletion"
    )
    for name in race.acknowledged:
        assert await is_gone(verification, name)
    await nothing_is_left(stack, verification, sessions)
    assert await insides.objects(stack) <= objects_before
    done = await verification.deletion(deletion.name)
    assert done.state == deletions_pb2.DELETION_STATE_DONE
    assert done.receipt.json


async def nothing_is_left(stack: LocalStack, verification: Verification, sessions: list[Opened]) -> None:
    """Nothing is listed as readable, and every row has lost what could be opened."""
    for opened in sessions:
        listed = await verification.records(CUSTOMER, session=opened.name)
        assert all(record.state == processing_pb2.RECORD_STATE_ERASED for record in listed)
    assert not [
        record
        for record in await verification.records(CUSTOMER, subject=SUBJECT)
        if record.state == processing_pb2.RECORD_STATE_ACTIVE
    ]
    ids = {opened.name.rpartition("/")[2] for opened in sessions}
    for row in await insides.rows(stack, "records", CUSTOMER):
        if str(row["session"]) in ids:
            assert row["body"] is None
            assert row["details"] is None
            assert row["object"] is None
    for row in await insides.rows(stack, "sessions", CUSTOMER):
        if str(row["session"]) in ids:
            assert row["details"] is None
            assert row["subject_digest"] is None


async def test_a_session_of_a_deleted_subject_takes_nothing_more(verification: Verification) -> None:
    opened = await verification.open(CUSTOMER, "late-subject")
    await verification.delete(CUSTOMER, deletions_pb2.DeletionTarget(subject="late-subject"))
    race = Race(verification)
    await race.upload(opened, 0)
    await race.upload(opened, 1)
    assert race.refused == ["ERASED", "ERASED"]


async def test_a_repeated_deletion_leaves_what_came_after_it(verification: Verification) -> None:
    """A client's late retry must not cost the end user who came back."""
    subject, request_id = "returning-subject", str(uuid.uuid4())
    items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="One"))
    await verification.submit(await verification.open(CUSTOMER, subject), items)
    target = deletions_pb2.DeletionTarget(subject=subject)
    first = await verification.delete(CUSTOMER, target, request_id=request_id)
    later = await verification.submit(await verification.open(CUSTOMER, subject), items)
    again = await verification.delete(CUSTOMER, target, request_id=request_id)
    assert (again.name, again.record_count) == (first.name, 1)
    assert await verification.read(later[0].name)
