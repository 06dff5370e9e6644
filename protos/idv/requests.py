"""What the two clients, blocking and asyncio, ask and answer with: requests and results, without any call."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from idv import receipts
from idv.ingest.v1 import ingest_pb2
from idv.receipts import ReceiptError, ReceiptFault, VerifiedReceipt
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.storage.v1 import storage_pb2
from idv.types.v1 import data_pb2, item_pb2, processing_pb2

Target = Mapping[str, str | bool]
"""What to delete: one of `{"record": name}`, `{"session": name}`, `{"subject": reference}`,
`{"category": "face_image"}` and `{"everything": True}`.
"""

WAIT_SECONDS = 60.0
"""Seconds for which a deletion is followed to its end when the caller says nothing."""
UPLOAD_SECONDS = 300.0
"""Seconds for one attempt at an upload, or for reading one record."""
PAGE_SIZE = 1000

ENDED = frozenset(
    {
        deletions_pb2.DELETION_STATE_DONE,
        deletions_pb2.DELETION_STATE_PARTIAL,
        deletions_pb2.DELETION_STATE_FAILED,
    }
)
"""States in which a deletion stays."""


def new_id() -> str:
    """A request id: keep it where a repeat must get the first answer even after this process has ended."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Opened:
    """A record that was read: what is known of it, its typed description, and its body."""

    record: processing_pb2.Record
    description: bytes
    body: bytes

    def items(self) -> Message | None:
        """The typed items in the body, or None where it is an image or PDF."""
        if self.record.media_type != "application/x-protobuf":
            return None
        kinds = (field.message_type for field in data_pb2.ItemSet.DESCRIPTOR.fields)
        for kind in kinds:
            if kind and kind.GetOptions().Extensions[item_pb2.category] == self.record.category:
                return GetMessageClass(kind).FromString(self.body)
        return None  # of a newer release


@dataclass(frozen=True)
class Deleted:
    """A deletion as it stands, with what it was asked with: both are needed to show what a receipt covers."""

    deletion: deletions_pb2.Deletion
    request_id: str
    target: Target

    @property
    def done(self) -> bool:
        """Whether it has ended with a receipt."""
        return self.deletion.state in ENDED and bool(self.deletion.receipt.json)

    def verified(self, public_key: str) -> VerifiedReceipt:
        """What the receipt proves, checked offline against the log's public key and against this request.

        Raises ReceiptError: of another request, altered, of another log, or not there yet.
        """
        proven = receipts.verify(self.deletion.receipt.json, public_key)
        if not proven.covers(self.request_id, self.target):
            raise ReceiptError(ReceiptFault.ENTRY_ALTERED, "the receipt is of another deletion", "request")
        return proven


def create_session(
    customer: str,
    subject: str,
    items: Iterable[str],
    attestation: processing_pb2.Attestation,
    request_id: str | None,
) -> ingest_pb2.CreateSessionRequest:
    """Asks for a session of one end user."""
    return ingest_pb2.CreateSessionRequest(
        parent=f"customers/{customer}",
        request_id=request_id or new_id(),
        subject=subject,
        items=items,
        attestation=attestation,
    )


def create_deletion(
    customer: str, target: Target, request_id: str | None
) -> deletions_pb2.CreateDeletionRequest:
    """Asks for a deletion. Raises ValueError unless `target` is of one kind that the contract knows."""
    (kind,) = target
    return deletions_pb2.CreateDeletionRequest(
        parent=f"customers/{customer}",
        request_id=request_id or new_id(),
        target=deletions_pb2.DeletionTarget(**{kind: target[kind]}),  # type: ignore[arg-type]
    )


def export_subject(
    customer: str, subject: str, request_id: str, offset: int
) -> rights_pb2.ExportSubjectRequest:
    """Asks for everything held on a subject, from a byte of the archive on."""
    return rights_pb2.ExportSubjectRequest(
        parent=f"customers/{customer}", request_id=request_id, subject=subject, offset=offset
    )


def export_customer(customer: str, request_id: str, offset: int) -> rights_pb2.ExportCustomerRequest:
    """Asks for everything held for the Customer, from a byte of the archive on."""
    return rights_pb2.ExportCustomerRequest(
        parent=f"customers/{customer}", request_id=request_id, offset=offset
    )


def correct_record(
    record: str, items: data_pb2.ItemSet, request_id: str | None
) -> rights_pb2.CorrectRecordRequest:
    """Asks for a record to be superseded by corrected items."""
    return rights_pb2.CorrectRecordRequest(name=record, request_id=request_id or new_id(), items=items)


def retention_records(
    customer: str, session: str | None, subject: str | None
) -> deletions_pb2.ListRecordsRequest:
    """Asks retention, as the Customer, for the records of a session or a subject: one of the two."""
    return deletions_pb2.ListRecordsRequest(
        parent=f"customers/{customer}", page_size=PAGE_SIZE, **_filter(session, subject)
    )


def storage_records(
    customer: str,
    session: str | None,
    subject: str | None,
    purpose: processing_pb2.Purpose.ValueType = processing_pb2.PURPOSE_VERIFICATION,
    person: str = "",
    ticket: str = "",
) -> storage_pb2.ListRecordsRequest:
    """Asks storage, as an internal service, for the same, for a purpose."""
    return storage_pb2.ListRecordsRequest(
        parent=f"customers/{customer}",
        page_size=PAGE_SIZE,
        purpose=purpose,
        person=person,
        ticket=ticket,
        **_filter(session, subject),
    )


def watch_accesses(customer: str, cursor: str, only_new: bool) -> deletions_pb2.WatchAccessesRequest:
    """Asks for the accesses to the Customer's records as they happen."""
    return deletions_pb2.WatchAccessesRequest(
        parent=f"customers/{customer}", cursor=cursor, only_new=only_new
    )


def list_accesses(customer: str, resource: str) -> deletions_pb2.ListAccessesRequest:
    """Asks for the accesses to the Customer's records, the newest first."""
    return deletions_pb2.ListAccessesRequest(
        parent=f"customers/{customer}", resource=resource, page_size=PAGE_SIZE
    )


def read_record(
    name: str, purpose: processing_pb2.Purpose.ValueType, person: str, ticket: str
) -> storage_pb2.ReadRecordRequest:
    """Asks for a record's body, for a purpose."""
    return storage_pb2.ReadRecordRequest(name=name, purpose=purpose, person=person, ticket=ticket)


def _filter(session: str | None, subject: str | None) -> dict[str, Any]:
    if (session is None) == (subject is None):
        raise ValueError("give one of session and subject")
    return {"subject": subject} if session is None else {"session": session}
