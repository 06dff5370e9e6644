"""Carrying a deletion out in storage: target by target, call by call, and how far it is in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb

from services.retention.entries import instant
from services.retention.storage_gateway import Erasure, StorageGateway
from services.retention.store import Deletion
from services.retention.targets import Part, Target, erasure_id, parts

REFUSED: Final = frozenset(
    {
        *(Reason.ERROR_REASON_INVALID_ARGUMENT, Reason.ERROR_REASON_NOT_FOUND, Reason.ERROR_REASON_EXPIRED),
        *(Reason.ERROR_REASON_ERASED, Reason.ERROR_REASON_WRONG_TENANT, Reason.ERROR_REASON_NOT_SERVED),
        Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
    }
)
"""Answers of storage that no repetition changes. After any other the deletion is tried until it is done."""
_ENDED: Final = frozenset({pb.DELETION_STATE_DONE, pb.DELETION_STATE_FAILED})
_PATIENCE: Final = 5.0
"""Seconds after which a call leaves a large deletion to the job."""
_NOTED: Final = 10
"""Of several targets, progress is noted after so many."""


@dataclass(frozen=True)
class Outcome:
    """What became of one target; times as text, so that it can rest as JSON. It names nothing."""

    scope: str
    index: int
    state: int
    record_count: int = 0
    session_count: int = 0
    object_count: int = 0
    erase_time: str = ""
    final_time: str = ""
    claim: str = ""
    failure: str = ""


class Progress(NamedTuple):
    """How far a deletion is."""

    done: int
    total: int
    record_count: int
    session_count: int
    outcomes: list[dict[str, Any]] | None


Note = Callable[[Progress], Awaitable[None]]


class Erasing:
    """Asks storage until it is done, or for some seconds."""

    def __init__(self, storage: StorageGateway) -> None:
        self._storage = storage

    async def run(
        self, deletion: Deletion, target: Target, note: Note, *, begun_only: bool = False
    ) -> list[Outcome] | None:
        """The outcome of each target; None when it goes on beyond this call's patience, progress noted.

        `begun_only`: what storage has not begun is not erased, and counts no record.
        Raises what storage raises where a repeat may help: progress is noted before.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE
        ended = [one for one in map(_outcome, deletion.outcomes or ()) if one.state in _ENDED]
        todo = parts(target)
        single = "targets" not in target
        try:
            while len(ended) < len(todo):
                part = todo[len(ended)]
                name = erasure_id(deletion.deletion, target, len(ended))
                outcome = await self._erase(deletion.tenant, name, part, begun_only=begun_only)
                if isinstance(outcome, Erasure):  # still running
                    if single:
                        await note(_of_days(outcome))
                else:
                    ended.append(outcome)
                    if not single and len(ended) % _NOTED == 0:
                        await note(_of_targets(ended, todo))
                if loop.time() >= until and len(ended) < len(todo):
                    return None
        finally:
            if not single:
                await note(_of_targets(ended, todo))
        return ended

    async def preview(self, customer: str, target: Target) -> list[Outcome]:
        """What each target would concern now; one that storage refuses for good has failed."""
        found = []
        for part in parts(target):
            try:
                records, sessions = await self._storage.preview(customer, part.target)
                found.append(Outcome(part.scope, part.place, pb.DELETION_STATE_PENDING, records, sessions))
            except IdvError as error:
                if error.reason not in REFUSED or "targets" not in target:
                    raise
                found.append(_failed(part, error))
        return found

    async def _erase(self, customer: str, name: UUID, part: Part, *, begun_only: bool) -> Outcome | Erasure:
        try:
            erasure = await self._storage.erase(customer, name, part.target, begun_only=begun_only)
        except IdvError as error:
            if error.reason not in REFUSED:
                raise
            return _failed(part, error)
        if erasure.running:
            return erasure
        return Outcome(
            scope=part.scope,
            index=part.place,
            state=pb.DELETION_STATE_DONE,
            record_count=erasure.record_count,
            session_count=erasure.session_count,
            object_count=erasure.object_count,
            erase_time=instant(erasure.erase_time),
            final_time=instant(erasure.final_time),
            claim=erasure.claim,
        )


def total(outcomes: list[Outcome]) -> Erasure | None:
    """What was erased in all; None when every target failed."""
    done = [one for one in outcomes if one.state == pb.DELETION_STATE_DONE]
    if not done:
        return None
    return Erasure(
        record_count=sum(one.record_count for one in done),
        session_count=sum(one.session_count for one in done),
        object_count=sum(one.object_count for one in done),
        erase_time=max(datetime.fromisoformat(one.erase_time) for one in done),
        final_time=max(datetime.fromisoformat(one.final_time) for one in done),
        claim=done[-1].claim,
    )


def _outcome(stored: dict[str, Any]) -> Outcome:
    return Outcome(**stored)


def _of_days(erasure: Erasure) -> Progress:
    return Progress(
        *(erasure.days_done, erasure.days_total, erasure.record_count, erasure.session_count), None
    )


def _of_targets(ended: list[Outcome], todo: list[Part]) -> Progress:
    pending = [Outcome(part.scope, part.place, pb.DELETION_STATE_PENDING) for part in todo[len(ended) :]]
    shown = [*ended, *pending]
    records = sum(one.record_count for one in ended)
    sessions = sum(one.session_count for one in ended)
    return Progress(len(ended), len(todo), records, sessions, [asdict(one) for one in shown])


def _failed(part: Part, error: IdvError) -> Outcome:
    return Outcome(part.scope, part.place, pb.DELETION_STATE_FAILED, failure=Reason.Name(error.reason))
