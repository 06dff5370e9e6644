"""`idv opt-out`: nothing more is collected of an end user, wholly or of some items, until it is lifted."""

from __future__ import annotations

from typing import Annotated

import typer
from idv.retention.v1 import rights_pb2
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub

from services.cli.client import CALL_SECONDS, Suite, parent
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.messages import plain, shown_time
from services.cli.output import Output, facts_table
from services.cli.requests import request_id_or_new
from services.local.ready import Ready

app = group("Collect nothing more of an end user, or allow it again.")


@command(
    app,
    "opt-out",
    [
        ("Nothing more of one end user", "idv opt-out user-17"),
        ("No face images and no IDFV", "idv opt-out user-17 --item face_image --item device.hardware.idfv"),
        ("The end user changed their mind", "idv opt-out user-17 --lift"),
    ],
)
async def opt_out(
    subject: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="The Customer's own reference to the end user.")
    ],
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--item", metavar="ITEM", help="A category, or an optional item by its code. Default: everything."
        ),
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Allow collection again.")] = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Refuse to collect from now on, in open sessions too; what is here stays to its end or its deletion."""
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        request = rights_pb2.SetOptOutRequest(
            parent=parent(who),
            request_id=request_id_or_new(request_id),
            subject=subject,
            items=items or [],
            opted_out=not lift,
        )
        stub = suite.stub(RightsServiceStub, "retention", who)
        answer = await stub.SetOptOut(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, "opted_out": not lift, "items": items or [], **plain(answer)}
    people = {
        "collected again" if lift else "opted out of": ", ".join(items or []) or "everything",
        "since": shown_time(answer.opt_out_time) or None,
        "request id": request.request_id,
    }
    Output(as_json).answer(value, facts_table(people))
