"""Correction at a Customer's request: judged, put in place in storage, the wrong one's erasure logged.

As of a deletion, the ledger's row is committed first. Of what is corrected it holds nothing but the wrong
record's name, so only a repeat of the call can correct. Whoever carries it on after a crash asks storage
whether the correction happened: if so, its leaf and receipt follow; if not, it is given up, for good.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from uuid import UUID

from google.protobuf.message import Message
from idv.errors import IdvError, Reason
from idv.retention.v1 import rights_pb2 as pb
from idv.storage.v1 import storage_pb2
from idv.types.v1 import item_pb2, processing_pb2

from services.retention.deletion_answers import RETRY
from services.retention.deletions import ENDED, Deletions
from services.retention.erasing import REFUSED
from services.retention.storage_gateway import StorageGateway
from services.retention.targets import corrected
from services.runtime.clock import Clock
from services.runtime.device_times import check_device_times
from services.runtime.resources import deletion_name, parse_record, session_name
from services.runtime.validation import refuse_unknown_fields

_FIELD: Final = "items"
_REFUSED: Final = REFUSED | {Reason.ERROR_REASON_REQUEST_ID_REUSED, Reason.ERROR_REASON_WRONG_STATE}
"""Answers of storage after which it is settled at once whether there is a correction."""


class Corrections:
    """Corrects records."""

    def __init__(self, deletions: Deletions, storage: StorageGateway, clock: Clock) -> None:
        self._deletions, self._storage, self._clock = deletions, storage, clock

    async def correct(self, request: pb.CorrectRecordRequest) -> tuple[processing_pb2.Record, str]:
        """The corrected record, and the name of the deletion of the wrong one; a repeat returns the same.

        Raises UNKNOWN_FIELD, INVALID_ARGUMENT, ITEM_NOT_REQUESTED for an item that the session does not hold,
        TIME_OUT_OF_RANGE, REQUEST_ID_REUSED, what storage refuses, and UNAVAILABLE where it is not made, or
        not logged, yet: a repeat goes on.
        """
        name = parse_record(request.name, field="name")
        refuse_unknown_fields(request.items, field=_FIELD)
        category, message, path = _only(request)
        session = await self._storage.session(session_name(name.customer, name.session))
        _check_items(category, message, path, frozenset(session.items))
        check_device_times(message, path, self._clock.now())
        target = corrected(request.name)
        deletion = await self._deletions.record(name.customer, UUID(request.request_id), target)
        asked = storage_pb2.CorrectRecordRequest(
            name=request.name,
            request_id=request.request_id,
            deletion=str(deletion.deletion),
            category=category,
            body=message.SerializeToString(deterministic=True),
        )
        try:
            record = (await self._storage.correct(asked)).record
        except IdvError as error:
            if error.reason not in _REFUSED:
                raise
            with suppress(IdvError):  # an earlier call may have made it; the job settles what cannot be now
                await self._deletions.carry_out(name.customer, deletion.deletion)
            if error.reason == Reason.ERROR_REASON_WRONG_STATE:
                raise _given_up() from error
            raise
        if deletion.state not in ENDED:
            await self._deletions.carry_out(name.customer, deletion.deletion)
        return record, deletion_name(name.customer, str(deletion.deletion))


def _only(request: pb.CorrectRecordRequest) -> tuple[str, Message, str]:
    """The one message of the corrected items, its category, and its path in the request."""
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
    return category, message, f"{_FIELD}.{descriptor.name}"


def _check_items(category: str, message: Message, path: str, asked: frozenset[str]) -> None:
    """Raises ITEM_NOT_REQUESTED: a correction brings in nothing that was not asked for."""
    for descriptor, _ in message.ListFields():
        option = descriptor.GetOptions().Extensions[item_pb2.item]
        if option.code not in asked and (option.optional or category not in asked):
            raise IdvError(
                Reason.ERROR_REASON_ITEM_NOT_REQUESTED,
                f"the session did not ask for {option.code}",
                field=f"{path}.{descriptor.name}",
                remedy="leave the item out",
            )


def _given_up() -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_UNAVAILABLE,
        "an earlier call for the correction was interrupted before it changed anything",
        remedy="repeat the call with the same request id",
        retry_after=RETRY.total_seconds(),
        tried=True,
    )
