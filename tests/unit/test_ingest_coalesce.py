"""Concurrent small writes share calls to storage; each is answered for itself, once it is written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.ingest.coalesce import MOST_BYTES, MOST_ITEMS, Coalescer
from tests.waiting import until


class Storage:
    """The part of storage that writes; records each call, and waits for the test when told to."""

    def __init__(self) -> None:
        self.calls: list[list[bytes]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def WriteRecords(self, request: Any, timeout: float) -> storage_pb2.WriteRecordsResponse:
        assert timeout > 0
        bodies = [write.body for write in request.writes]
        self.calls.append(bodies)
        await self.open.wait()
        if any(body.startswith(b"poison") for body in bodies):
            raise IdvError(Reason.ERROR_REASON_INVALID_ARGUMENT, "one write breaks a rule", remote=True)
        if any(body.startswith(b"away") for body in bodies):
            raise IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away", retry_after=1.0, remote=True)
        return storage_pb2.WriteRecordsResponse(outcomes=[self._outcome(body) for body in bodies])

    def _outcome(self, body: bytes) -> storage_pb2.WriteOutcome:
        if body.startswith(b"refuse"):
            refusal = IdvError(Reason.ERROR_REASON_REQUEST_ID_REUSED, "used before")
            return storage_pb2.WriteOutcome(error=refusal.to_status())
        return storage_pb2.WriteOutcome(record=processing_pb2.Record(name=body.decode()))


def write(body: bytes) -> storage_pb2.RecordWrite:
    return storage_pb2.RecordWrite(body=body)


def coalescer(storage: Storage, queue_bytes: int = 64 << 20) -> Coalescer:
    return Coalescer(storage, queue_bytes=queue_bytes)  # type: ignore[arg-type]


async def held(storage: Storage, subject: Coalescer) -> list[asyncio.Task[Any]]:
    """Has a call under way that does not return yet: what comes now gathers."""
    storage.open.clear()
    task = asyncio.create_task(subject.write([write(b"first")]))
    await until("the call is under way", lambda: len(storage.calls) == 1)
    return [task]


async def test_a_lone_write_goes_at_once() -> None:
    storage = Storage()
    records = await coalescer(storage).write([write(b"a")])
    assert [record.name for record in records] == ["a"]
    assert storage.calls == [[b"a"]]


async def test_writes_that_gather_while_a_call_is_under_way_share_the_next_call() -> None:
    storage = Storage()
    subject = coalescer(storage)
    tasks = await held(storage, subject)
    tasks += [asyncio.create_task(subject.write([write(b"%d" % number)])) for number in range(MOST_ITEMS - 1)]
    await asyncio.sleep(0)
    assert subject.waiting == MOST_ITEMS - 1
    storage.open.set()
    answers = await asyncio.gather(*tasks)
    assert [answer[0].name for answer in answers[1:]] == [str(number) for number in range(MOST_ITEMS - 1)]
    assert [len(call) for call in storage.calls] == [1, MOST_ITEMS - 1]


async def test_a_whole_batch_does_not_wait_for_the_call_under_way() -> None:
    storage = Storage()
    subject = coalescer(storage)
    tasks = await held(storage, subject)
    tasks += [asyncio.create_task(subject.write([write(b"%d" % number)])) for number in range(MOST_ITEMS)]
    await until("a second call is under way", lambda: len(storage.calls) == 2)
    tasks.append(asyncio.create_task(subject.write([write(b"late")])))
    await asyncio.sleep(0)
    assert [len(call) for call in storage.calls] == [1, MOST_ITEMS]
    storage.open.set()
    await asyncio.gather(*tasks)
    assert [len(call) for call in storage.calls] == [1, MOST_ITEMS, 1]


async def test_a_call_never_carries_more_than_its_bytes() -> None:
    storage = Storage()
    subject = coalescer(storage)
    tasks = await held(storage, subject)
    tasks += [asyncio.create_task(subject.write([write(b"x" * (1 << 20))])) for _ in range(4)]
    await asyncio.sleep(0)
    storage.open.set()
    await asyncio.gather(*tasks)
    assert all(sum(map(len, call)) <= MOST_BYTES for call in storage.calls)
    assert sum(len(call) for call in storage.calls) == 5


async def test_each_write_has_its_own_outcome() -> None:
    storage = Storage()
    subject = coalescer(storage)
    tasks = [asyncio.create_task(subject.write([write(body)])) for body in (b"a", b"refuse", b"b")]
    answers: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [list, IdvError, list]
    assert answers[1].reason == Reason.ERROR_REASON_REQUEST_ID_REUSED


async def test_a_write_that_storage_refuses_to_read_does_not_take_others_with_it() -> None:
    storage = Storage()
    subject = coalescer(storage)
    tasks = await held(storage, subject)
    bodies = (b"a", b"poison", b"b")
    tasks += [asyncio.create_task(subject.write([write(body)])) for body in bodies]
    await asyncio.sleep(0)
    storage.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers[1:]] == [list, IdvError, list]


async def test_when_storage_is_away_each_caller_hears_it_with_when_to_come_back() -> None:
    storage = Storage()
    subject = coalescer(storage)
    tasks = [asyncio.create_task(subject.write([write(body)])) for body in (b"away", b"b")]
    errors: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    assert [error.reason for error in errors] == [Reason.ERROR_REASON_UNAVAILABLE] * 2
    assert errors[0] is not errors[1]
    assert errors[0].retry_after == 1.0


async def test_a_caller_that_leaves_takes_its_waiting_write_with_it_and_no_other() -> None:
    storage = Storage()
    subject = coalescer(storage)
    tasks = await held(storage, subject)
    leaving = asyncio.create_task(subject.write([write(b"leaving")]))
    staying = asyncio.create_task(subject.write([write(b"staying")]))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    storage.open.set()
    assert [record.name for record in await staying] == ["staying"]
    await asyncio.gather(*tasks)
    assert [b"staying"] in storage.calls
    assert not any(b"leaving" in call for call in storage.calls)


async def test_too_much_waiting_is_refused_and_room_comes_back() -> None:
    storage = Storage()
    subject = coalescer(storage, queue_bytes=200)
    tasks = await held(storage, subject)
    waiting = asyncio.create_task(subject.write([write(b"x" * 150)]))
    await asyncio.sleep(0)
    with pytest.raises(IdvError) as caught:
        await subject.write([write(b"x" * 150)])
    assert caught.value.reason == Reason.ERROR_REASON_OVERLOADED
    storage.open.set()
    await asyncio.gather(waiting, *tasks)
    await subject.write([write(b"x" * 150)])


async def test_the_records_of_one_submission_come_in_order() -> None:
    records = await coalescer(Storage()).write([write(b"a"), write(b"b"), write(b"c")])
    assert [record.name for record in records] == ["a", "b", "c"]


async def test_a_write_that_arrives_in_the_very_step_in_which_a_lane_runs_empty_is_sent() -> None:
    storage = Storage()
    subject = coalescer(storage)
    under_way = await held(storage, subject)
    storage.open.set()
    # Its turn comes in the loop's pass in which the lane ends, behind it in line.
    late = asyncio.create_task(subject.write([write(b"late")]))
    await asyncio.gather(*under_way)
    records = await asyncio.wait_for(late, 5)
    assert [record.name for record in records] == ["late"]
