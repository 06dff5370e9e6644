"""The retention service's methods: requests translated, and passed on to deletions and Customer view."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from idv.errors import Reason
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceServicer

from services.retention.accesses import CustomerView
from services.retention.deletions import ENDED, Deletions
from services.retention.erasing import Outcome
from services.retention.messages import PAGE, before
from services.retention.store import Deletion
from services.retention.targets import WIDE, Target, parse
from services.retention.witnessed import WitnessedReceipts
from services.runtime import calls
from services.runtime.instants import timestamp
from services.runtime.resources import (
    deletion_name,
    parse_customer,
    parse_deletion,
)

_WATCH_SECONDS: Final = 0.5
_EXPECTED: Final = timedelta(hours=1)
"""Within this time of its receipt a deletion should be done, storage and key authority permitting."""
_EXPECTED_WIDE: Final = timedelta(hours=6)
"""The same for what may concern all that a Customer has."""


class DeletionApi(DeletionServiceServicer):
    """Deletions, and what a Customer may see of its own data."""

    def __init__(self, deletions: Deletions, view: CustomerView, witnessed: WitnessedReceipts) -> None:
        self._deletions, self._view, self._witnessed = deletions, view, witnessed

    async def CreateDeletion(
        self, request: deletions_pb2.CreateDeletionRequest, context: Any
    ) -> deletions_pb2.CreateDeletionResponse:
        """Deletes for good; see `Deletions.create`."""
        customer = parse_customer(request.parent, field="parent")
        target = parse(request.parent, request.target)
        if request.dry_run:
            counted = await self._deletions.preview(customer, target)
            return deletions_pb2.CreateDeletionResponse(deletion=_preview(target, counted))
        deletion = await self._deletions.create(customer, UUID(request.request_id), target)
        message = await self._witnessed.add(_message(deletion))
        return deletions_pb2.CreateDeletionResponse(deletion=message)

    async def GetDeletion(
        self, request: deletions_pb2.GetDeletionRequest, context: Any
    ) -> deletions_pb2.GetDeletionResponse:
        """Describes a deletion."""
        message = await self._witnessed.add(_message(await self._get(request.name)))
        return deletions_pb2.GetDeletionResponse(deletion=message)

    async def ListDeletions(
        self, request: deletions_pb2.ListDeletionsRequest, context: Any
    ) -> deletions_pb2.ListDeletionsResponse:
        """Lists deletions, the newest first."""
        customer = parse_customer(request.parent, field="parent")
        limit = request.page_size or PAGE
        page = await self._deletions.list(customer, limit + 1, before(request.page_token))
        more = len(page) > limit
        return deletions_pb2.ListDeletionsResponse(
            deletions=map(_message, page[:limit]),
            next_page_token=str(page[limit - 1].deletion) if more else "",
        )

    async def WatchDeletion(
        self, request: deletions_pb2.WatchDeletionRequest, context: Any
    ) -> AsyncIterator[deletions_pb2.WatchDeletionResponse]:
        """Streams a deletion as it stands: at the start, then whenever it is further, until its end."""
        calls.be_feed()
        seen = None
        while seen is None or seen.state not in ENDED:
            deletion = await self._get(request.name)
            if deletion != seen:
                yield deletions_pb2.WatchDeletionResponse(deletion=_message(deletion))
                seen = deletion
            else:
                await asyncio.sleep(_WATCH_SECONDS)

    async def ListRecords(
        self, request: deletions_pb2.ListRecordsRequest, context: Any
    ) -> deletions_pb2.ListRecordsResponse:
        """Lists the Customer's records, not opened."""
        return await self._view.records(request)

    async def ListAccesses(
        self, request: deletions_pb2.ListAccessesRequest, context: Any
    ) -> deletions_pb2.ListAccessesResponse:
        """Lists the reads of the Customer's records."""
        return await self._view.accesses(request)

    async def WatchAccesses(
        self, request: deletions_pb2.WatchAccessesRequest, context: Any
    ) -> AsyncIterator[deletions_pb2.WatchAccessesResponse]:
        """Streams the accesses to the Customer's records."""
        async with aclosing(self._view.watch(request)) as answers:
            async for answer in answers:
                yield answer

    async def ListAccessTotals(
        self, request: deletions_pb2.ListAccessTotalsRequest, context: Any
    ) -> deletions_pb2.ListAccessTotalsResponse:
        """Counts the accesses to the Customer's records."""
        return await self._view.totals(request)

    async def _get(self, name: str) -> Deletion:
        customer, deletion = parse_deletion(name, field="name")
        return await self._deletions.get(customer, UUID(deletion))


def _preview(target: Target, counted: Sequence[Outcome]) -> deletions_pb2.Deletion:
    """The answer to a dry run: counts, without name, state or receipt."""
    several = "targets" in target
    return deletions_pb2.Deletion(
        scope=next(iter(target)),
        record_count=sum(one.record_count for one in counted),
        session_count=sum(one.session_count for one in counted),
        outcomes=map(_outcome, counted) if several else (),
    )


def _outcome(one: Outcome) -> deletions_pb2.TargetOutcome:
    return deletions_pb2.TargetOutcome(
        scope=one.scope,
        index=one.index,
        state=deletions_pb2.DeletionState.ValueType(one.state),
        record_count=one.record_count,
        session_count=one.session_count,
        failure_reason=Reason.Value(one.failure) if one.failure else Reason.ERROR_REASON_UNSPECIFIED,
    )


def _expected(scope: str) -> timedelta:
    return _EXPECTED_WIDE if scope in WIDE else _EXPECTED


def _message(deletion: Deletion) -> deletions_pb2.Deletion:
    message = deletions_pb2.Deletion(
        name=deletion_name(deletion.tenant, str(deletion.deletion)),
        state=deletion.state,
        receive_time=timestamp(deletion.receive_time),
        record_count=deletion.record_count or 0,
        session_count=deletion.session_count or 0,
        expected_completion_time=timestamp(deletion.receive_time + _expected(deletion.scope)),
        scope=deletion.scope,
        progress_done=deletion.progress_done or 0,
        progress_total=deletion.progress_total or 0,
        outcomes=[_outcome(Outcome(**one)) for one in deletion.outcomes or ()],
    )
    message.mail_state = deletions_pb2.NotificationState.ValueType(deletion.mail_state or 0)
    message.webhook_state = deletions_pb2.NotificationState.ValueType(deletion.webhook_state or 0)
    if deletion.failure is not None:
        message.failure_reason = Reason.Value(deletion.failure)
    if deletion.complete_time is not None:
        message.complete_time.CopyFrom(timestamp(deletion.complete_time))
    if deletion.receipt is not None and deletion.final_time is not None:
        message.receipt.json = deletion.receipt
        message.receipt.leaf_index = deletion.leaf_index or 0
        message.receipt.final_time.CopyFrom(timestamp(deletion.final_time))
    return message
