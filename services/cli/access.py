"""`idv access`: who saw a Customer's records and why, listed, counted, and followed as it happens."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from google.protobuf.descriptor import EnumDescriptor
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.types.v1 import processing_pb2

from services.cli.client import CALL_SECONDS, Suite, parent
from services.cli.command import READY_FILE, As, Connect, Json, command, group
from services.cli.failure import usage
from services.cli.messages import enum_named, name_of, names, plain
from services.cli.output import Output, console, hint, rows_table
from services.cli.records import accesses_shown
from services.cli.session import kept
from services.local.ready import Ready

app = group("See who saw a Customer's records, for which purpose, and what is remarkable about it.")

_PURPOSES = processing_pb2.Purpose.DESCRIPTOR
_FLAGS = processing_pb2.AccessFlag.DESCRIPTOR


@command(
    app,
    "list",
    [("Who saw my records, and why?", "idv access list"),
     ("Only what is remarkable", "idv access list --flag bulk"),
     ("Watch it happen; later, go on where it ended", "idv access list --follow --cursor a1f")],
)  # fmt: skip
async def list_accesses(
    session: Annotated[str | None, typer.Option(help="Only this session, by name or by its file.")] = None,
    record: Annotated[str | None, typer.Option(help="Only this record, by name.")] = None,
    flag: Annotated[
        str | None, typer.Option(help=f"Only with this flag: {', '.join(names(_FLAGS))}.")
    ] = None,
    purpose: Annotated[
        str | None, typer.Option(help=f"Only for this purpose: {', '.join(names(_PURPOSES))}.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Show accesses as they happen.")] = False,
    cursor: Annotated[str, typer.Option(help="With --follow: go on after this cursor.")] = "",
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """List every access to a Customer's records, the newest first; or follow them."""
    if session and record:
        raise usage("it is said twice whose accesses", "give one of --session and --record")
    if cursor and not follow:
        raise usage("a cursor is where to go on following", "add --follow", field="--cursor")
    resource = kept(session)[0] if session else record or ""
    flag_number = processing_pb2.AccessFlag.ValueType(_number(_FLAGS, flag, "--flag"))
    purpose_number = processing_pb2.Purpose.ValueType(_number(_PURPOSES, purpose, "--purpose"))
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        stub = suite.stub(DeletionServiceStub, "retention", who)
        if follow:
            watch = deletions_pb2.WatchAccessesRequest(
                parent=parent(who),
                cursor=cursor,
                only_new=not cursor,
                resource=resource,
                flag=flag_number,
                purpose=purpose_number,
            )
            async for answer in stub.WatchAccesses(watch):
                _show(answer, as_json)
            return
        found: list[processing_pb2.Access] = []
        request = deletions_pb2.ListAccessesRequest(
            parent=parent(who), resource=resource, flag=flag_number, purpose=purpose_number, page_size=1000
        )
        while len(found) < limit:
            page = await stub.ListAccesses(request, timeout=CALL_SECONDS)
            found += page.accesses
            request.page_token = page.next_page_token
            if not request.page_token:
                break
    found = found[:limit]
    Output(as_json).answer({"accesses": [plain(one) for one in found]}, *accesses_shown(found))


@command(app, "totals", [("How often did each service see my records?", "idv access totals")])
async def totals(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 100,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Count accesses by day, service and purpose: these remain when the records are gone."""
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        answer = await suite.stub(DeletionServiceStub, "retention", who).ListAccessTotals(
            deletions_pb2.ListAccessTotalsRequest(parent=parent(who), page_size=limit), timeout=CALL_SECONDS
        )
    rows = [
        (
            *(one.day, one.service, name_of(_PURPOSES, one.purpose).replace("_", " ")),
            *(str(one.access_count), str(one.record_count), str(one.bulk_count)),
            "yes" if one.first_purpose else "",
        )
        for one in answer.totals
    ]
    columns = ("day", "service", "purpose", "accesses", "records", "bulk", "first time")
    shown = rows_table(columns, rows) if rows else "0 accesses"
    Output(as_json).answer({"totals": [plain(one) for one in answer.totals]}, shown)


def _show(answer: deletions_pb2.WatchAccessesResponse, as_json: bool) -> None:
    if as_json:  # one line for each message, for programs that read along
        print(json.dumps(plain(answer), ensure_ascii=False), flush=True)
        return
    for line in accesses_shown(answer.accesses)[:-1]:
        console().print(line, soft_wrap=True)
    hint(f"go on later with --cursor {answer.cursor}")


def _number(enum: EnumDescriptor, name: str | None, field: str) -> int:
    if name is None:
        return 0
    if name not in names(enum):
        raise usage(f"{name!r} is none of them", f"use one of {', '.join(names(enum))}", field=field)
    return enum_named(enum, name)
