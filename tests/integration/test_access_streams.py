"""Accesses followed as they happen: none left out and none twice, whoever is cut off, killed or stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.types.v1 import data_pb2, processing_pb2

from services.local.stack import LocalStack
from tests.integration.verification import Verification
from tests.waiting import until

CUSTOMER = "globex"
BOUND = 20
"""The setting `access_streams`, as it is delivered."""

Answer = deletions_pb2.WatchAccessesResponse
Access = processing_pb2.Access


@asynccontextmanager
async def watching(
    verification: Verification, *, timeout: float | None = 30.0, **fields: Any
) -> AsyncIterator[AsyncIterator[Answer]]:
    """A stream of the Customer's accesses, cancelled at the end of the block."""
    callers = verification.callers
    stub: Any = callers.stub(DeletionServiceStub, "retention", callers.customer(CUSTOMER))
    request = deletions_pb2.WatchAccessesRequest(**{"parent": f"customers/{CUSTOMER}", **fields})
    answers = aiter(stub.WatchAccesses(request, timeout=timeout))
    try:
        yield answers
    finally:
        await answers.aclose()


async def take(answers: AsyncIterator[Answer], count: int) -> tuple[list[Access], str]:
    """As many accesses as are waited for, and the cursor after them."""
    taken: list[Access] = []
    cursor = ""
    while len(taken) < count or not cursor:
        answer = await anext(answers)
        taken, cursor = [*taken, *answer.accesses], answer.cursor
    return taken, cursor


async def refusal(verification: Verification, **fields: Any) -> IdvError:
    with pytest.raises(IdvError) as refused:
        async with watching(verification, **fields) as answers:
            await anext(answers)
    return refused.value


async def planted(verification: Verification, subject: str) -> tuple[str, str]:
    """The names of a session and of a record in it, of which no access is known yet."""
    opened = await verification.open(CUSTOMER, subject, ("device.hardware",))
    items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-100"))
    (record,) = await verification.submit(opened, items)
    return opened.name, record.name


async def test_accesses_arrive_as_they_happen_and_go_on_from_the_cursor(verification: Verification) -> None:
    session, record = await planted(verification, "followed")
    async with watching(verification, resource=session, only_new=True) as answers:
        assert (await take(answers, 0))[0] == []
        await verification.read(record)
        (first,), cursor = await take(answers, 1)
        assert (first.record, first.service, first.complete) == (record, "verification", True)
    for _ in range(3):
        await verification.read(record)
    async with watching(verification, resource=session, cursor=cursor) as answers:
        missed, cursor = await take(answers, 3)
        await verification.records(CUSTOMER, session=session)
        (live,), cursor = await take(answers, 1)
    assert {one.kind for one in missed} == {processing_pb2.ACCESS_KIND_READ}
    assert (live.kind, live.record_count) == (processing_pb2.ACCESS_KIND_LIST, 1)
    async with watching(verification, resource=session) as answers:
        assert (await take(answers, 5))[0] == [first, *missed, live]
    async with watching(verification, resource=session, cursor=cursor) as answers:
        assert not (await anext(answers)).accesses


async def test_an_access_whose_storage_is_killed_before_it_is_numbered_is_listed_and_followed(
    stack: LocalStack, verification: Verification
) -> None:
    session, record = await planted(verification, "killed-between")
    async with watching(verification, resource=session, only_new=True) as answers:
        _, cursor = await take(answers, 0)
    await verification.read(record)
    await stack.kill("storage")
    await stack.ready("storage")
    async with watching(verification, resource=session, cursor=cursor) as answers:
        (followed,), _ = await take(answers, 1)
    callers = verification.callers
    stub = callers.stub(DeletionServiceStub, "retention", callers.customer(CUSTOMER))
    request = deletions_pb2.ListAccessesRequest(parent=f"customers/{CUSTOMER}", resource=session)
    assert list((await stub.ListAccesses(request)).accesses) == [followed]
    assert followed.record == record


@pytest.mark.parametrize("timeout", [None, 60.0])
async def test_a_stop_ends_the_stream_typed_and_its_reader_goes_on_elsewhere(
    stack: LocalStack, verification: Verification, timeout: float | None
) -> None:
    session, record = await planted(verification, f"drained-{timeout}")
    async with watching(verification, timeout=timeout, resource=session) as answers:
        _, cursor = await take(answers, 0)
        await stack.restart("retention")
        with pytest.raises(IdvError) as ended:
            await take(answers, 1)
    assert ended.value.reason_name == "UNAVAILABLE"
    assert ended.value.remedy == "open the stream again"
    await verification.read(record)
    async with watching(verification, resource=session, cursor=cursor) as answers:
        assert [one.record for one in (await take(answers, 1))[0]] == [record]


async def test_streams_are_bounded_for_each_customer_and_freed_when_they_are_cut(
    verification: Verification,
) -> None:
    callers = verification.callers
    stub: Any = callers.stub(DeletionServiceStub, "retention", callers.customer(CUSTOMER))
    request = deletions_pb2.WatchAccessesRequest(parent=f"customers/{CUSTOMER}", only_new=True)
    streams = [aiter(stub.WatchAccesses(request, timeout=60.0)) for _ in range(BOUND)]
    try:
        for stream in streams:
            await anext(stream)
        refused = await refusal(verification)
        assert (refused.reason_name, refused.metadata["limit"]) == ("OVERLOADED", str(BOUND))
        assert refused.remedy
        other: Any = callers.stub(DeletionServiceStub, "retention", callers.customer("acme"))
        acme = aiter(other.WatchAccesses(deletions_pb2.WatchAccessesRequest(parent="customers/acme")))
        assert (await anext(acme)).cursor
        await acme.aclose()
    finally:
        for stream in streams:
            await stream.aclose()

    async def free() -> bool:
        try:
            async with watching(verification) as answers:
                await anext(answers)
        except IdvError as error:
            if error.reason_name != "OVERLOADED":
                raise
            return False
        return True

    await until("the cut streams are freed", free)


async def test_a_deadline_ends_the_stream_typed(verification: Verification) -> None:
    with pytest.raises(IdvError) as ended:
        async with watching(verification, timeout=1.0, only_new=True) as answers:
            await take(answers, 1 << 20)
    assert ended.value.reason_name == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("cursor", ["x", "a", "a-1", "A1", "a1 ", "affffffffffffff", "a" + "f" * 40])
async def test_a_cursor_that_was_never_given_out_is_refused(verification: Verification, cursor: str) -> None:
    refused = await refusal(verification, cursor=cursor)
    assert (refused.reason_name, refused.field) == ("INVALID_ARGUMENT", "cursor")


async def test_what_is_anothers_is_not_followed(verification: Verification) -> None:
    theirs = await verification.open("acme", "not-to-be-followed", ("device.hardware",))
    refused = await refusal(verification, resource=theirs.name)
    assert (refused.reason_name, refused.field) == ("WRONG_TENANT", "resource")
    assert (await refusal(verification, parent="customers/acme")).reason_name == "WRONG_TENANT"
