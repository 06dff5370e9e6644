"""Correction at a Customer's request: judged, put in place in storage, the wrong one's erasure logged."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from google.protobuf.message import Message
from idv.errors import IdvError, Reason
from idv.retention.v1 import rights_pb2 as pb
from idv.storage.v1 import storage_pb2
from idv.types.v1 import item_pb2, processing_pb2

from services.retention.deletions import Deletions
from services.retention.storage_gateway import StorageGateway
from services.runtime.resources import deletion_name, parse_record, session_name
from services.runtime.validation import refuse_unknown_fields

_FIELD: Final = "items"


class Corrections:
    """Corrects records."""

    def __init__(self, deletions: Deletions, storage: StorageGateway) -> None:
        self._deletions = deletions
        self._storage = storage

    async def correct(self, request: pb.CorrectRecordRequest) -> tuple[processing_pb2.Record, str]:
        """The corrected record, and the name of the deletion of the wrong one; a repeat returns the same.

        Raises UNKNOWN_FIELD, INVALID_ARGUMENT, ITEM_NOT_REQUESTED for an item that the session does not hold,
        REQUEST_ID_REUSED, what storage refuses, and UNAVAILABLE where the correction stands but the erasure
        is not logged yet: a repeat, or the job, goes on.
        """
        name = parse_record(request.name, field="name")
        refuse_unknown_fields(request.items, field=_FIELD)
        category, message = _only(request)
        session = await self._storage.session(session_name(name.customer, name.session))
        _check_items(category, message, frozenset(session.items))
        target = {"record": request.name}
        request_id = UUID(request.request_id)
        await self._deletions.check_unused(name.customer, request_id, target)
        answer = await self._storage.correct(
            storage_pb2.CorrectRecordRequest(
                name=request.name,
                request_id=request.request_id,
                deletion=str(self._deletions.new_name()),
                category=category,
                body=message.SerializeToString(deterministic=True),
            )
        )
        deletion = await self._deletions.create(name.customer, request_id, target, name=UUID(answer.deletion))
        return answer.record, deletion_name(name.customer, str(deletion.deletion))


def _only(request: pb.CorrectRecordRequest) -> tuple[str, Message]:
    """The one message of the corrected items, and its category."""
    present = request.items.ListFields()
    if len(present) != 1 or not present[0][1].ByteSize():
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "a correction is exactly one message with at least one item",
            field=_FIELD,
            remedy="send the whole corrected message of the wrong record's category, and no other",
        )
    descriptor, message = present[0]
    kind = descriptor.message_type
    category: str = kind.GetOptions().Extensions[item_pb2.category] if kind else ""
    return category, message


def _check_items(category: str, message: Message, asked: frozenset[str]) -> None:
    """Raises ITEM_NOT_REQUESTED: a correction brings in nothing that was not asked for."""
    for descriptor, _ in message.ListFields():
        option = descriptor.GetOptions().Extensions[item_pb2.item]
        if option.code not in asked and (option.optional or category not in asked):
            raise IdvError(
                Reason.ERROR_REASON_ITEM_NOT_REQUESTED,
                f"the session did not ask for {option.code}",
                field=f"{_FIELD}.{descriptor.name}",
                remedy="leave the item out",
            )
