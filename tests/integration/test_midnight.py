"""A session open at midnight: its records share its day, retries find them, and each keeps its own term."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.types.v1 import data_pb2

from services.local.stack import LocalStack
from tests.integration import insides
from tests.integration.callers import Callers
from tests.integration.story import TERM, instant
from tests.integration.test_durability import noise
from tests.integration.verification import Opened, Verification

SUBJECT = "late-riser"
ITEMS = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="One"))
REQUEST_ID = str(uuid.uuid4())


@pytest_asyncio.fixture(scope="module")
async def verification(server_directory: Path) -> AsyncIterator[Verification]:
    """A stack of its own, half a minute before a midnight."""
    async with LocalStack(server_directory / "midnight") as stack, Callers(stack) as callers:
        midnight = datetime.combine(stack.clock.now().date() + timedelta(days=2), time(), UTC)
        stack.travel(to=midnight - timedelta(seconds=30))
        yield Verification(callers)


@pytest_asyncio.fixture(scope="module")
async def opened(verification: Verification) -> Opened:
    """The session, opened before midnight."""
    return await verification.open("acme", SUBJECT)


async def test_a_retry_after_midnight_finds_the_record_of_before(
    verification: Verification, opened: Opened
) -> None:
    before = (await verification.submit(opened, ITEMS, request_id=REQUEST_ID))[0]
    verification.callers.stack.travel(by=timedelta(minutes=1))
    again = (await verification.submit(opened, ITEMS, request_id=REQUEST_ID))[0]
    assert again.name == before.name
    assert again.receive_time == before.receive_time


async def test_what_comes_after_midnight_lies_with_its_session_and_has_its_own_term(
    verification: Verification, opened: Opened
) -> None:
    before = (await verification.records("acme", session=opened.name))[0]
    after = (await verification.upload(opened, noise(), data_pb2.FaceImage())).record
    assert instant(after.receive_time).date() == instant(before.receive_time).date() + timedelta(days=1)
    assert instant(after.expire_time) == instant(after.receive_time) + TERM
    days = {row["day"] for row in await insides.rows(verification.callers.stack, "records", "acme")}
    assert days == {instant(before.receive_time).date()}, "one session, one partition"
    listed = await verification.records("acme", subject=SUBJECT)
    assert [record.name for record in listed] == [before.name, after.name]


async def test_each_is_readable_until_its_own_second(verification: Verification, opened: Opened) -> None:
    before, after = await verification.records("acme", session=opened.name)
    verification.callers.stack.travel(to=instant(before.expire_time))
    with pytest.raises(IdvError) as refused:
        await verification.read(before.name)
    assert refused.value.reason_name == "EXPIRED"
    assert len(await verification.read(after.name)) == after.size_bytes


async def test_a_deletion_reaches_what_is_left_on_the_last_day(
    verification: Verification, opened: Opened
) -> None:
    left = await verification.records("acme", subject=SUBJECT)
    assert len(left) == 1
    await verification.delete("acme", deletions_pb2.DeletionTarget(subject=SUBJECT))
    with pytest.raises(IdvError) as refused:
        await verification.read(left[0].name)
    assert refused.value.reason_name == "ERASED"
