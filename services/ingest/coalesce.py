"""Lets concurrent small writes share one call to storage, without a timer.

While a call is under way, new writes gather; the next call takes all that have gathered. So a lone write goes
at once, and the busier the service, the more writes share a call.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2, storage_pb2_grpc
from idv.types.v1 import processing_pb2

from services.runtime import calls

MOST_ITEMS = 64
MOST_BYTES = 2 << 20
_LANES = 2
"""Calls at once; the second only while a whole batch waits: a call and its commit cost as much for few."""
_LONGEST_SECONDS = 30.0
# A call refused for one of these was refused because of one write: the others must not suffer for it.
_SHARED_FATE = frozenset(
    {
        Reason.ERROR_REASON_UNAVAILABLE,
        Reason.ERROR_REASON_OVERLOADED,
        Reason.ERROR_REASON_DEADLINE_EXCEEDED,
        Reason.ERROR_REASON_CLOSED_FOR_REPLAY,
    }
)


@dataclass(slots=True, eq=False)
class _Pending:
    """A write that waits for its outcome; `deadline` is on the loop's clock."""

    write: storage_pb2.RecordWrite
    size: int
    deadline: float | None
    outcome: asyncio.Future[processing_pb2.Record]


class Coalescer:
    """Hands small records to storage: calls of at most 64 records and 2 MiB, a second one only under load."""

    def __init__(self, stub: storage_pb2_grpc.StorageServiceAsyncStub, *, queue_bytes: int) -> None:
        self._stub = stub
        self._queue: deque[_Pending] = deque()
        self._room = queue_bytes
        self._lanes: set[asyncio.Task[None]] = set()

    async def write(self, writes: Sequence[storage_pb2.RecordWrite]) -> list[processing_pb2.Record]:
        """The records, all durable, in order.

        Raises the first refusal; other records of the same submission may have been written by then, and a
        repeat with the same request id returns them. Raises OVERLOADED when too much waits. A caller that
        leaves takes its writes out of the queue; what is under way is written and stays findable by its
        request id.
        """
        pending = self._enter(writes)
        try:
            with calls.waiting_for("storage"):
                if len(pending) == 1:
                    return [await pending[0].outcome]
                outcomes = await asyncio.gather(*(item.outcome for item in pending), return_exceptions=True)
        finally:
            for item in pending:
                item.outcome.cancel()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]

    def _enter(self, writes: Sequence[storage_pb2.RecordWrite]) -> list[_Pending]:
        sizes = [write.ByteSize() for write in writes]
        if sum(sizes) > self._room:
            raise IdvError(
                Reason.ERROR_REASON_OVERLOADED,
                "too many submissions wait for storage",
                remedy="wait, then retry with the same request id",
                retry_after=0.5,
            )
        loop = asyncio.get_running_loop()
        call = calls.running_call()
        deadline = call.deadline if call is not None else None
        pending = [
            _Pending(write, size, deadline, loop.create_future())
            for write, size in zip(writes, sizes, strict=True)
        ]
        self._room -= sum(sizes)
        self._queue.extend(pending)
        if not self._lanes or (len(self._lanes) < _LANES and len(self._queue) >= MOST_ITEMS):
            # An empty context: the lane serves many calls, so none of them lends it deadline or trace.
            lane = loop.create_task(self._serve(), context=contextvars.Context())
            self._lanes.add(lane)
        return pending

    async def _serve(self) -> None:
        """Sends what waits until nothing does."""
        try:
            while batch := self._take():
                await self._send(batch)
        finally:
            # In the same step in which it found nothing: a write that comes later must find the lane gone.
            if lane := asyncio.current_task():
                self._lanes.discard(lane)

    def _take(self) -> list[_Pending]:
        batch: list[_Pending] = []
        size = 0
        while self._queue and len(batch) < MOST_ITEMS:
            item = self._queue[0]
            if batch and size + item.size > MOST_BYTES:
                break
            self._queue.popleft()
            self._room += item.size
            if not item.outcome.cancelled():
                batch.append(item)
                size += item.size
        return batch

    async def _send(self, batch: list[_Pending]) -> None:
        request = storage_pb2.WriteRecordsRequest(writes=[item.write for item in batch])
        try:
            response = await self._stub.WriteRecords(request, timeout=_seconds(batch))
            if len(response.outcomes) != len(batch):
                raise IdvError(Reason.ERROR_REASON_INTERNAL, "storage answered for another number of records")
        except IdvError as error:
            if len(batch) > 1 and error.reason not in _SHARED_FATE:
                for item in batch:
                    await self._send([item])
                return
            for item in batch:
                _settle(item, error)
            return
        except BaseException as failure:  # the waiting calls must hear of anything that ends this one
            for item in batch:
                _settle(item, failure)
            if not isinstance(failure, Exception):
                raise
            return
        for item, outcome in zip(batch, response.outcomes, strict=True):
            refused = outcome.WhichOneof("outcome") != "record"
            _settle(item, IdvError.from_status(outcome.error) if refused else outcome.record)

    @property
    def waiting(self) -> int:
        """How many writes wait for a call."""
        return len(self._queue)


def _seconds(batch: Sequence[_Pending]) -> float:
    """How long the call may take: as long as the most patient write waits."""
    deadlines = [item.deadline for item in batch if item.deadline is not None]
    if len(deadlines) < len(batch):
        return _LONGEST_SECONDS
    return min(_LONGEST_SECONDS, max(0.0, max(deadlines) - asyncio.get_running_loop().time()))


def _settle(item: _Pending, outcome: processing_pb2.Record | BaseException) -> None:
    if item.outcome.done():
        return
    if isinstance(outcome, IdvError):
        # An exception of its own for each call: what one task adds to it must not reach another.
        item.outcome.set_exception(IdvError.from_status(outcome.to_status()))
    elif isinstance(outcome, asyncio.CancelledError):
        item.outcome.cancel()
    elif isinstance(outcome, BaseException):
        item.outcome.set_exception(outcome)
    else:
        item.outcome.set_result(outcome)
