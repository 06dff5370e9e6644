"""The retention service's methods: requests translated, and passed on to deletions, log and Customer view."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2, log_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceServicer
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceServicer
from idv.types.v1 import receipt_pb2

from services.retention.accesses import CustomerView, check_owner
from services.retention.deletions import ENDED, Deletions
from services.retention.log import TransparencyLog
from services.retention.messages import PAGE, before
from services.retention.store import Deletion
from services.runtime.instants import timestamp
from services.runtime.resources import (
    deletion_name,
    parse_customer,
    parse_deletion,
    parse_record,
    parse_session,
)

_WATCH_SECONDS: Final = 0.5
_EXPECTED: Final = timedelta(hours=1)
"""Within this time of its receipt a deletion should be done, storage and key authority permitting."""


class DeletionApi(DeletionServiceServicer):
    """Deletions, and what a Customer may see of its own data."""

    def __init__(self, deletions: Deletions, view: CustomerView) -> None:
        self._deletions = deletions
        self._view = view

    async def CreateDeletion(
        self, request: deletions_pb2.CreateDeletionRequest, context: Any
    ) -> deletions_pb2.CreateDeletionResponse:
        """Deletes for good; see `Deletions.create`."""
        customer = parse_customer(request.parent, field="parent")
        if request.dry_run:
            raise _not_served("a count before deletion is not offered by this release", "dry_run")
        target = _target(request)
        deletion = await self._deletions.create(customer, UUID(request.request_id), target)
        return deletions_pb2.CreateDeletionResponse(deletion=_message(deletion))

    async def GetDeletion(
        self, request: deletions_pb2.GetDeletionRequest, context: Any
    ) -> deletions_pb2.GetDeletionResponse:
        """Describes a deletion."""
        return deletions_pb2.GetDeletionResponse(deletion=_message(await self._get(request.name)))

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
        """Streams a deletion's state: once at the start, then at each change, until its end."""
        seen = None
        while seen not in ENDED:
            deletion = await self._get(request.name)
            if deletion.state != seen:
                yield deletions_pb2.WatchDeletionResponse(deletion=_message(deletion))
                seen = deletion.state
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

    async def _get(self, name: str) -> Deletion:
        customer, deletion = parse_deletion(name, field="name")
        return await self._deletions.get(customer, UUID(deletion))


class TransparencyLogApi(TransparencyLogServiceServicer):
    """The log, for anyone: it holds salted hashes, and openings of what concerns no single Customer."""

    def __init__(self, log: TransparencyLog) -> None:
        self._log = log

    async def GetCheckpoint(
        self, request: log_pb2.GetCheckpointRequest, context: Any
    ) -> log_pb2.GetCheckpointResponse:
        """Returns the newest checkpoint."""
        head = await self._log.head()
        checkpoint = receipt_pb2.Checkpoint(
            note=head.note, tree_size=head.size, root_hash=head.root, sign_time=timestamp(head.sign_time)
        )
        return log_pb2.GetCheckpointResponse(checkpoint=checkpoint, verifier_key=self._log.verifier_keys)

    async def ListLogEntries(
        self, request: log_pb2.ListLogEntriesRequest, context: Any
    ) -> log_pb2.ListLogEntriesResponse:
        """Lists leaves in order."""
        rows, size = await self._log.leaves(request.start_index, request.page_size or PAGE)
        return log_pb2.ListLogEntriesResponse(entries=map(_log_entry, rows), tree_size=size)

    async def GetInclusionProof(
        self, request: log_pb2.GetInclusionProofRequest, context: Any
    ) -> log_pb2.GetInclusionProofResponse:
        """Proves that a leaf is in a tree."""
        proof = await self._log.inclusion_proof(request.leaf_index, request.tree_size or None)
        return log_pb2.GetInclusionProofResponse(
            hashes=proof.hashes, tree_size=proof.size, root_hash=proof.root
        )

    async def GetConsistencyProof(
        self, request: log_pb2.GetConsistencyProofRequest, context: Any
    ) -> log_pb2.GetConsistencyProofResponse:
        """Proves that one tree is the beginning of another."""
        proof = await self._log.consistency_proof(request.first_size, request.second_size or None)
        return log_pb2.GetConsistencyProofResponse(hashes=proof.hashes, second_size=proof.size)


def _target(request: deletions_pb2.CreateDeletionRequest) -> dict[str, str]:
    """The target as an object of one key. Raises WRONG_TENANT, INVALID_ARGUMENT or NOT_SERVED."""
    kind = request.target.WhichOneof("target")
    if kind == "subject":
        return {kind: request.target.subject}
    if kind == "record":
        check_owner(request.parent, request.target.record, "target.record")
        parse_record(request.target.record, field="target.record")
        return {kind: request.target.record}
    if kind == "session":
        check_owner(request.parent, request.target.session, "target.session")
        parse_session(request.target.session, field="target.session")
        return {kind: request.target.session}
    raise _not_served("this release deletes by record, session or subject", f"target.{kind}")


def _message(deletion: Deletion) -> deletions_pb2.Deletion:
    message = deletions_pb2.Deletion(
        name=deletion_name(deletion.tenant, str(deletion.deletion)),
        state=deletion.state,
        receive_time=timestamp(deletion.receive_time),
        record_count=deletion.record_count or 0,
        session_count=deletion.session_count or 0,
        expected_completion_time=timestamp(deletion.receive_time + _EXPECTED),
        scope=deletion.scope,
    )
    if deletion.failure is not None:
        message.failure_reason = Reason.Value(deletion.failure)
    if deletion.complete_time is not None:
        message.complete_time.CopyFrom(timestamp(deletion.complete_time))
    if deletion.receipt is not None and deletion.final_time is not None:
        message.receipt.json = deletion.receipt
        message.receipt.leaf_index = deletion.leaf_index or 0
        message.receipt.final_time.CopyFrom(timestamp(deletion.final_time))
    return message


def _log_entry(row: Any) -> receipt_pb2.LogEntry:
    message = receipt_pb2.LogEntry(
        index=row.leaf_index,
        leaf_data=row.leaf_data,
        kind=row.kind,
        append_time=timestamp(row.append_time),
    )
    if row.salt is not None:
        message.opening.salt, message.opening.entry = row.salt, row.entry
    return message


def _not_served(message: str, field: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_NOT_SERVED,
        message,
        field=field,
        remedy="see the release notes for what is served",
    )
