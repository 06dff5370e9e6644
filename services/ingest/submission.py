"""Takes small items: each message of a submission is admitted and becomes one record."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.storage.v1 import storage_pb2

from services.ingest.admission import Admission
from services.ingest.coalesce import Coalescer
from services.ingest.limits import RateLimit
from services.ingest.notice_terms import Terms
from services.ingest.terms import LiveTerms
from services.ingest.tokens import Grant, Grants
from services.runtime.device_times import check_device_times
from services.runtime.identity import Caller
from services.runtime.instants import timestamp
from services.runtime.validation import refuse_unknown_fields

ITEMS_MEDIA_TYPE = "application/x-protobuf"
FIRST = "first"
"""In the place of the category: the first record of a submission, whatever it is, has one id."""


class Submissions:
    """Admits submissions and hands them to storage."""

    def __init__(
        self,
        admission: Admission,
        grants: Grants,
        terms: LiveTerms,
        coalescer: Coalescer,
        rate: RateLimit,
    ) -> None:
        self._admission = admission
        self._grants = grants
        self._terms = terms
        self._coalescer = coalescer
        self._rate = rate

    async def submit(
        self, request: ingest_pb2.SubmitItemsRequest, caller: Caller, received: datetime, *, field: str = ""
    ) -> ingest_pb2.SubmitItemsResponse:
        """The records made of a submission, in the order of the item set's fields.

        Nothing is written unless everything is admitted. `field` is the path of the submission in its
        request. Raises what `admission`, `tokens` and storage refuse, UNKNOWN_FIELD, TIME_OUT_OF_RANGE and
        EMPTY_BODY.
        """
        grant = self._grants.of(caller, request.session, request.session_token, field=field)
        self._rate.take(grant.customer, received)
        writes = self._writes(request, grant, received, f"{field}.items" if field else "items")
        # The first tells whether the request id is new, or repeated with all the same items: before, no other
        # record is written, so that of a refused submission nothing is stored.
        records = await self._coalescer.write(writes[:1])
        if len(writes) > 1:
            records += await self._coalescer.write(writes[1:])
        return ingest_pb2.SubmitItemsResponse(records=records)

    async def batch(
        self, requests: Sequence[ingest_pb2.SubmitItemsRequest], caller: Caller, received: datetime
    ) -> list[ingest_pb2.SubmissionOutcome]:
        """The outcome of each submission, in order; none is refused because of another."""
        return await asyncio.gather(
            *(
                self._outcome(request, caller, received, f"submissions[{at}]")
                for at, request in enumerate(requests)
            )
        )

    async def _outcome(
        self, request: ingest_pb2.SubmitItemsRequest, caller: Caller, received: datetime, field: str
    ) -> ingest_pb2.SubmissionOutcome:
        try:
            accepted = await self.submit(request, caller, received, field=field)
        except IdvError as error:
            return ingest_pb2.SubmissionOutcome(error=error.to_status())
        return ingest_pb2.SubmissionOutcome(accepted=accepted)

    def _writes(
        self, request: ingest_pb2.SubmitItemsRequest, grant: Grant, received: datetime, field: str
    ) -> list[storage_pb2.RecordWrite]:
        refuse_unknown_fields(request.items, field=field)
        present = request.items.ListFields()
        if not present:
            raise _empty(field)
        terms = self._terms.in_force(received)
        receive_time = timestamp(received)
        whole = hashlib.sha256(request.items.SerializeToString(deterministic=True)).digest()
        writes: list[storage_pb2.RecordWrite] = []
        for descriptor, message in present:
            path = f"{field}.{descriptor.name}"
            category = self._admit(message, path, grant, terms)
            check_device_times(message, path, received)
            header = record_header(
                *(grant, terms, kept_days(self._terms, grant, terms), request.request_id),
                *(category, receive_time, ITEMS_MEDIA_TYPE),
            )
            header.submission_sha256 = whole
            if not writes:
                header.request_id = record_request_id(request.request_id, FIRST)
            writes.append(
                storage_pb2.RecordWrite(header=header, body=message.SerializeToString(deterministic=True))
            )
        return writes

    def _admit(self, message: Message, path: str, grant: Grant, terms: Terms) -> str:
        if not message.ByteSize():
            raise _empty(path)
        if terms.version != grant.notice_version:
            # What the version of the session's start did not list, the end user was never shown.
            before = self._terms.version(grant.notice_version)
            if before is not None:
                self._admission.admit(message, path, grant.items, before, grant.source)
        return self._admission.admit(message, path, grant.items, terms, grant.source)


def kept_days(known: LiveTerms, grant: Grant, now: Terms) -> int:
    """Days for which data of a session is kept: as the version says under which the session began.

    Another retention begins at 00:00 UTC, and the day of a session has one term: a session that is open then
    goes on under its own.
    """
    return (known.version(grant.notice_version) or now).retention_days


def record_header(
    grant: Grant,
    terms: Terms,
    retention_days: int,
    request_id: str,
    category: str,
    receive_time: Timestamp,
    media_type: str,
    description: bytes = b"",
) -> storage_pb2.RecordHeader:
    """What storage is told of a record.

    A request can make one record of each category, so each gets an id of its own from the request's: a repeat
    finds the same records.
    """
    return storage_pb2.RecordHeader(
        session_token=grant.token,
        request_id=record_request_id(request_id, category),
        category=category,
        source=grant.source,
        receive_time=receive_time,
        media_type=media_type,
        notice_version=terms.version,
        retention_days=retention_days,
        description=description,
    )


def record_request_id(request_id: str, category: str) -> str:
    """The id under which one category of a request is written: a UUIDv8 (RFC 9562, 5.8) made from a hash."""
    text = hashlib.sha256(f"{request_id.lower()}/{category}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-a{text[17:20]}-{text[20:32]}"


def _empty(field: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_EMPTY_BODY,
        "there is nothing in it to store",
        field=field,
        remedy="send at least one item, or leave the message out",
    )
