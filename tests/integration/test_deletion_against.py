"""Deletion at the same time as export, restriction, correction and expiry: whoever wins, all of it is gone.

Deletion against uploads is in `test_deletion_race.py`.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from idv import receipts
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2 import DeletionTarget
from idv.types.v1 import data_pb2

from services.local.stack import LocalStack
from tests.integration.callers import Callers
from tests.integration.test_durability import noise
from tests.integration.test_exports import correct, export
from tests.integration.test_rights import CUSTOMER, ITEMS, hardware, refusal, restrict
from tests.integration.verification import Verification

ROUNDS = range(4)
"""Each begins its rival a little later: it is met at another place."""
APART = 0.01
"""Seconds."""
GONE = {"ERASED", "EXPIRED", "NOT_FOUND"}


async def held(verification: Verification, subject: str) -> list[str]:
    """Names of records of the subject, small ones and an object, in two sessions."""
    names: list[str] = []
    for _ in range(2):
        opened = await verification.open(CUSTOMER, subject, ITEMS)
        for _ in range(3):
            names += [one.name for one in await verification.submit(opened, hardware())]
    names.append((await verification.upload(opened, noise(), data_pb2.FaceImage())).record.name)
    return names


async def outcome(call: Awaitable[object], after: float = 0) -> object:
    """The answer of a call that begins so many seconds later, or its refusal."""
    await asyncio.sleep(after)
    try:
        return await call
    except IdvError as error:
        return error


async def deleted(verification: Verification, subject: str, rival: Awaitable[object], turn: int) -> object:
    """Deletes the subject and does the rival at the same time; the rival's outcome, once all is gone."""
    stack = verification.callers.stack
    asked = verification.delete(CUSTOMER, DeletionTarget(subject=subject))
    deletion, met = await asyncio.gather(asked, outcome(rival, turn * APART))
    done = await verification.deletion(deletion.name)
    assert done.state == deletions_pb2.DELETION_STATE_DONE
    receipts.verify(done.receipt.json, stack.log_public_key)
    return met


async def gone(verification: Verification, names: list[str]) -> None:
    """Fails unless each of the records is refused as gone."""
    for name in names:
        assert (await refusal(verification.read(name))).reason_name in GONE


@pytest.mark.parametrize("turn", ROUNDS)
async def test_an_export_is_whole_or_refused_and_the_next_one_holds_nothing(
    verification: Verification, turn: int
) -> None:
    subject = f"exported-and-deleted-{turn}"
    names = await held(verification, subject)
    met = await deleted(verification, subject, export(verification, subject), turn)
    if isinstance(met, IdvError):
        assert met.reason_name in {"ERASED", "WRONG_STATE"}
    else:
        assert isinstance(met, bytes)
        assert zipfile.ZipFile(io.BytesIO(met)).testzip() is None
    await gone(verification, names)
    later = zipfile.ZipFile(io.BytesIO(await export(verification, subject)))
    assert not [path for path in later.namelist() if path.startswith("records/")]


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("turn", ROUNDS)
async def test_a_restriction_or_its_end_brings_nothing_back(
    verification: Verification, turn: int, restricted: bool
) -> None:
    subject = f"restricted-and-deleted-{turn}-{restricted}"
    names = await held(verification, subject)
    await restrict(verification, subject, restricted=not restricted)
    met = await deleted(verification, subject, restrict(verification, subject, restricted=restricted), turn)
    assert not isinstance(met, IdvError), met
    await gone(verification, names)
    await restrict(verification, subject, restricted=False)
    await gone(verification, names)


@pytest.mark.parametrize("turn", ROUNDS)
async def test_a_correction_is_deleted_with_what_it_corrects(verification: Verification, turn: int) -> None:
    subject = f"corrected-and-deleted-{turn}"
    names = await held(verification, subject)
    right = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-200"))
    met = await deleted(verification, subject, correct(verification, names[0], right), turn)
    if isinstance(met, IdvError):
        assert met.reason_name == "ERASED"
    else:
        names.append(met.record.name)  # type: ignore[attr-defined]  # the answer of a correction
    await gone(verification, names)


@pytest_asyncio.fixture(scope="module")
async def ageing(server_directory: Path) -> AsyncIterator[Verification]:
    """A stack of its own: its clock moves."""
    async with LocalStack(server_directory / "against") as stack, Callers(stack) as callers:
        yield Verification(callers)


@pytest.mark.parametrize("turn", ROUNDS)
async def test_at_the_end_of_a_term_both_are_done(ageing: Verification, turn: int) -> None:
    stack, subject = ageing.callers.stack, f"expired-and-deleted-{turn}"
    names = await held(ageing, subject)
    ends = [one.expire_time.ToDatetime(UTC) for one in await ageing.records(CUSTOMER, subject=subject)]
    stack.travel(to=max(ends) - timedelta(seconds=5))

    async def end() -> None:
        stack.travel(to=max(ends) + timedelta(days=turn % 2 * 2))

    await deleted(ageing, subject, end(), turn)
    await gone(ageing, names)
