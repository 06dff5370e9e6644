"""Group commit: what arrives while one commit runs shares the next one. No timer: a lone write goes at once.

A write is acknowledged after the commit that holds it. Writes of several Customers share a transaction, which
may see exactly their rows. Each has its own outcome: a failed batch is tried again record by record.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from idv.errors import IdvError, Reason

from services.runtime.database import Database
from services.storage import opt_outs
from services.storage.instants import TOLERANCE
from services.storage.store import fences, locks
from services.storage.store import records as record_store
from services.storage.store import sessions as session_store
from services.storage.store.driver import driver
from services.storage.store.fences import Fence
from services.storage.store.records import RecordRow

Outcome = RecordRow | IdvError


class _Waiting:
    """A row and whoever waits for it."""

    __slots__ = ("future", "row", "size")

    def __init__(self, row: RecordRow) -> None:
        self.row = row
        self.size = len(row.body or b"") + len(row.details or b"")
        self.future: asyncio.Future[RecordRow] = asyncio.get_running_loop().create_future()


class Writer:
    """Writes rows in batches. `async with Writer(...) as writer` runs it; at the end it commits what still
    waits.
    """

    def __init__(self, database: Database, *, batch_items: int, batch_bytes: int, queue_bytes: int) -> None:
        self._database = database
        self._batch_items, self._batch_bytes, self._queue_bytes = batch_items, batch_bytes, queue_bytes
        self._queue: deque[_Waiting] = deque()
        self._held = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="storage writer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def write(self, row: RecordRow) -> RecordRow:
        """Returns once the row is durable: the row, or the first one written under its request id.

        Raises NOT_FOUND, ERASED, SESSION_CLOSED, OPTED_OUT, REQUEST_ID_REUSED, OVERLOADED, UNAVAILABLE. A
        cancelled call's row is left out unless its commit is already on the way.
        """
        waiting = _Waiting(row)
        if self._held and self._held + waiting.size > self._queue_bytes:
            raise IdvError(
                Reason.ERROR_REASON_OVERLOADED, "too many records wait for their commit", retry_after=0.2
            )
        self._queue.append(waiting)
        self._held += waiting.size
        self._arrived.set()
        return await waiting.future

    async def _run(self) -> None:
        while True:
            batch = self._take()
            if batch:
                await self._settle(batch)
                self._held -= sum(waiting.size for waiting in batch)
            elif self._closing:
                return
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def _take(self) -> list[_Waiting]:
        """The oldest writes that still have someone waiting, up to the limits of a batch."""
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < self._batch_items:
            following = self._queue[0]
            if batch and size + following.size > self._batch_bytes:
                break
            self._queue.popleft()
            if following.future.done():  # its call has ended: deadline, or the caller went away
                self._held -= following.size
            else:
                batch.append(following)
                size += following.size
        return batch

    async def _settle(self, batch: list[_Waiting]) -> None:
        """Commits a batch and tells everyone their outcome."""
        outcomes: Sequence[Outcome]
        try:
            outcomes = await self._commit([waiting.row for waiting in batch])
        except IdvError as error:
            outcomes = [error] * len(batch)
        except (
            Exception
        ) as error:  # whatever it is, those who wait must hear of it, and the next batch must go
            internal = IdvError(Reason.ERROR_REASON_INTERNAL, "an internal error happened")
            internal.__cause__ = error
            outcomes = [internal] * len(batch)
        if len(batch) > 1 and all(_is_internal(outcome) for outcome in outcomes):
            for waiting in batch:  # one row may have spoiled it for all
                await self._settle([waiting])
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.future.done():
                continue
            if isinstance(outcome, IdvError):
                waiting.future.set_exception(outcome)
            else:
                waiting.future.set_result(outcome)

    async def _commit(self, rows: Sequence[RecordRow]) -> list[Outcome]:
        """Writes rows in one transaction; an IdvError in the answer concerns its row alone."""
        outcomes: dict[int, Outcome] = {}
        tenants = sorted({row.customer for row in rows})
        async with self._database.transaction(tenants) as connection:
            on_driver = await driver(connection)
            for group in _by_day(rows):
                outcomes.update(await _write_day(on_driver, group))
        return [outcomes[id(row)] for row in rows]


def _by_day(rows: Sequence[RecordRow]) -> Iterator[list[RecordRow]]:
    """Rows by day, sorted throughout: two batches take locks and index entries in the same order."""
    ordered = sorted(rows, key=lambda row: (row.day, row.session, row.request_id))
    for _, group in groupby(ordered, key=lambda row: row.day):
        yield list(group)


async def _write_day(on_driver: Any, rows: list[RecordRow]) -> dict[int, Outcome]:
    day = rows[0].day
    await locks.day_for_writing(on_driver, day)
    sessions = await session_store.fence(on_driver, day, list({row.session for row in rows}))
    fenced = {row.customer for row in rows if row.session in sessions and sessions[row.session]["fenced"]}
    walls = await fences.listed(on_driver, day, sorted(fenced)) if fenced else []
    outcomes: dict[int, Outcome] = {}
    admitted: list[RecordRow] = []
    for row in rows:
        refusal = _refusal(row, sessions, walls)
        if refusal is None:
            admitted.append(row)
        else:
            outcomes[id(row)] = refusal
    if admitted:
        added = await record_store.add(on_driver, admitted)
        repeats = [row for row in admitted if row.record not in added]
        first = await record_store.find_repeated(on_driver, repeats) if repeats else {}
        for row in admitted:
            outcomes[id(row)] = row if row.record in added else _repeat(row, first, walls)
    return outcomes


def _refusal(row: RecordRow, sessions: Mapping[UUID, Any], walls: Sequence[Fence]) -> IdvError | None:
    """Why the row is not taken, if so; read under the day's lock, so no erasure or opt-out is missed."""
    session = sessions.get(row.session)
    if session is None:
        return IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such session")
    if session["state"] != session_store.ACTIVE:
        return _erased("session")
    if not session["create_time"] - TOLERANCE <= row.receive_time < session["close_time"]:
        return IdvError(
            Reason.ERROR_REASON_SESSION_CLOSED, "the session takes no more data", remedy="open a new session"
        )
    if _is_fenced(row, walls):
        return _erased("record")
    if session["opt_out"] and opt_outs.forbids_record(session["opt_out"], row.category, row.asked):
        return opt_outs.refusal([row.category])
    return None


def _is_fenced(row: RecordRow, walls: Sequence[Fence]) -> bool:
    """Whether the record belongs to an erasure that was asked for after it was received."""
    return any(wall.holds(row.customer, row.category, row.receive_time) for wall in walls)


def _repeat(row: RecordRow, first: Mapping[tuple[UUID, UUID], RecordRow], walls: Sequence[Fence]) -> Outcome:
    """The outcome of a row whose request id was used before."""
    known = first.get((row.session, row.request_id))
    if known is None or known.state != record_store.ACTIVE or known.request_mac is None:
        return _erased("record")
    if _is_fenced(known, walls):
        return _erased("record")
    if not hmac.compare_digest(known.request_mac, row.request_mac or b""):
        return IdvError(
            Reason.ERROR_REASON_REQUEST_ID_REUSED,
            "the request id was used before for a record with other content",
            field="request_id",
            remedy="use a new UUID for each new record",
        )
    return known


def _erased(what: str) -> IdvError:
    return IdvError(Reason.ERROR_REASON_ERASED, f"the {what} was erased at the Customer's request")


def _is_internal(outcome: Outcome) -> bool:
    return isinstance(outcome, IdvError) and outcome.reason == Reason.ERROR_REASON_INTERNAL
