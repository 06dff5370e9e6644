"""`idv restrict`: limits the processing of an end user's data to rights and erasure, or lifts that."""

from __future__ import annotations

from typing import Annotated

import typer
from idv.retention.v1 import rights_pb2
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.types.v1 import processing_pb2

from services.cli.client import CALL_SECONDS, Suite, parent
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.failure import usage
from services.cli.messages import enum_named, names, plain, shown_time
from services.cli.output import Output, facts_table
from services.cli.records import counted
from services.cli.requests import request_id_or_new
from services.local.ready import Ready

app = group("Restrict the processing of an end user's data, or lift it.")

_REASONS = processing_pb2.RestrictionReason.DESCRIPTOR


@command(
    app,
    "restrict",
    [
        ("An end user contests that the data is right", "idv restrict user-17 --reason accuracy_contested"),
        ("It is settled", "idv restrict user-17 --lift"),
    ],
)
async def restrict(
    subject: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="The Customer's own reference to the end user.")
    ],
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WHY", help=f"One of {', '.join(names(_REASONS))}.")
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Allow the processing again.")] = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Only rights and erasure are served from now on; the data ends when it would have ended."""
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        request = rights_pb2.SetRestrictionRequest(
            parent=parent(who),
            request_id=request_id_or_new(request_id),
            subject=subject,
            restricted=not lift,
            reason=_reason(reason),
        )
        stub = suite.stub(RightsServiceStub, "retention", who)
        answer = await stub.SetRestriction(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, "restricted": not lift, **plain(answer)}
    people = {
        "lifted" if lift else "restricted": counted(answer.record_count, "record"),
        "the last ends": shown_time(answer.expire_time) or None,
        "request id": request.request_id,
    }
    Output(as_json).answer(value, facts_table(people))


def _reason(name: str | None) -> processing_pb2.RestrictionReason.ValueType:
    if name is None:
        return processing_pb2.RESTRICTION_REASON_UNSPECIFIED
    try:
        return processing_pb2.RestrictionReason.ValueType(enum_named(_REASONS, name))
    except KeyError:
        raise usage(
            f"{name!r} is no reason to restrict",
            f"give one of {', '.join(names(_REASONS))}",
            field="--reason",
        ) from None
