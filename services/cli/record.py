"""`idv record`: lists, describes and reads records.

Every reading names a purpose and is listed to the Customer.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.message import Message
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.storage.v1 import storage_pb2
from idv.storage.v1.storage_pb2_grpc import StorageServiceStub
from idv.types.v1 import data_pb2, item_pb2, processing_pb2

from services.cli.client import CALL_SECONDS, STREAM_SECONDS, Suite, Who, parent
from services.cli.command import READY_FILE, As, Connect, Json, command, group
from services.cli.failure import usage
from services.cli.messages import enum_named, flat, names, plain
from services.cli.output import Output, facts_table, hint, print_json
from services.cli.records import records_shown, size
from services.cli.session import kept
from services.local.ready import Ready

app = group("List, describe and read records. Every reading names a purpose and is listed to the Customer.")

_PURPOSES = processing_pb2.Purpose.DESCRIPTOR
PurposeOption = Annotated[str, typer.Option(help=f"Why: one of {', '.join(names(_PURPOSES))}.")]
Person = Annotated[str, typer.Option(help="For troubleshooting: who reads, by staff id.")]
Ticket = Annotated[str, typer.Option(help="For troubleshooting: the ticket.")]
RecordArgument = Annotated[str, typer.Argument(metavar="NAME", help="customers/…/sessions/…/records/…")]


@command(
    app,
    "list",
    [
        ("Everything of one end user, by your own reference", "idv record list --subject user-17"),
        ("Everything of one session", "idv record list --session session.json"),
    ],
)
async def list_records(
    session: Annotated[str | None, typer.Option(help="The session, by name or by its file.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="The end user, by the Customer's own reference.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 100,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """List a Customer's records without opening them."""
    if (session is None) == (subject is None):
        raise usage("it is not said whose records, or twice", "give one of --session and --subject")
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        request = deletions_pb2.ListRecordsRequest(parent=parent(who), page_size=min(limit, 1000))
        if session is not None:
            request.session = kept(session)[0]
        else:
            request.subject = subject or ""
        records = [record async for record in _pages(suite, who, request, limit)]
    Output(as_json).answer({"records": [plain(record) for record in records]}, *records_shown(records))


@command(app, "get", [("Describe a record", "idv record get customers/acme/sessions/0198…/records/0198…")])
async def get(
    record: RecordArgument,
    purpose: PurposeOption = "verification",
    person: Person = "",
    ticket: Ticket = "",
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Describe a record without opening it, as an internal service (default: service:verification)."""
    request = storage_pb2.GetRecordRequest(
        name=record, purpose=purpose_named(purpose), person=person, ticket=ticket
    )
    async with Suite(Ready.read(connect)) as suite:
        stub = suite.stub(StorageServiceStub, "storage", suite.service(identity, "verification"))
        answer = await stub.GetRecord(request, timeout=CALL_SECONDS)
    Output(as_json).answer(plain(answer.record), facts_table(flat(plain(answer.record))))


@command(
    app,
    "read",
    [
        ("For verification, into a file", "idv record read NAME --purpose verification --output face.jpg"),
        ("For troubleshooting: who reads, and for which ticket",
         "idv record read NAME --as service:support --purpose troubleshooting --person s-7 --ticket T-42"),
    ],
)  # fmt: skip
async def read(
    record: RecordArgument,
    purpose: PurposeOption,
    person: Person = "",
    ticket: Ticket = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where the body goes, readable by you alone."),
    ] = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Read a record as an internal service (default: service:verification); typed items are shown as JSON."""
    request = storage_pb2.ReadRecordRequest(
        name=record, purpose=purpose_named(purpose), person=person, ticket=ticket
    )
    async with Suite(Ready.read(connect)) as suite:
        opening, body = await read_whole(suite, suite.service(identity, "verification"), request)
    value: dict[str, Any] = {"record": plain(opening.record)}
    if output is not None:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(body)
        value["output"] = str(output)
        Output(as_json).answer(
            value, facts_table({"record": record, "body": f"{size(len(body))} in {output}"})
        )
        return
    items = (
        typed(opening.record.category, body)
        if opening.record.media_type == "application/x-protobuf"
        else None
    )
    if items is not None:
        print_json({**value, "items": plain(items)} if as_json else plain(items))
        return
    Output(as_json).answer(value, facts_table(flat(value["record"])))
    hint("the body is no text: give --output FILE to keep it")


def purpose_named(text: str) -> processing_pb2.Purpose.ValueType:
    """The purpose that is meant; raises a usage error when there is none of the name."""
    if text not in names(_PURPOSES):
        raise usage(f"{text!r} is no purpose", f"use one of {', '.join(names(_PURPOSES))}", field="--purpose")
    return processing_pb2.Purpose.ValueType(enum_named(_PURPOSES, text))


async def read_whole(
    suite: Suite, who: Who, request: storage_pb2.ReadRecordRequest
) -> tuple[storage_pb2.RecordOpening, bytes]:
    """A record's opening and its whole body."""
    opening, body = storage_pb2.RecordOpening(), bytearray()
    async for part in suite.stub(StorageServiceStub, "storage", who).ReadRecord(
        request, timeout=STREAM_SECONDS
    ):
        if part.HasField("opening"):
            opening = part.opening
        else:
            body += part.chunk
    return opening, bytes(body)


def typed(category: str, body: bytes) -> Message | None:
    """The typed items in a record's body; None where the category has none."""
    for name in data_pb2.DESCRIPTOR.message_types_by_name:
        kind: type[Message] = getattr(data_pb2, name)
        if kind.DESCRIPTOR.GetOptions().Extensions[item_pb2.category] == category:
            return kind.FromString(body)
    return None


async def _pages(
    suite: Suite, who: Who, request: deletions_pb2.ListRecordsRequest, limit: int
) -> AsyncIterator[processing_pb2.Record]:
    while limit > 0:
        stub = suite.stub(DeletionServiceStub, "retention", who)
        answer = await stub.ListRecords(request, timeout=CALL_SECONDS)
        for record in answer.records[:limit]:
            yield record
        limit -= len(answer.records)
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token
