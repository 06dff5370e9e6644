"""`idv correct`: puts corrected items in the place of a wrong record, which is erased."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from idv.requests import correct_record
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub

from services.cli.client import CALL_SECONDS, Suite
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.messages import plain, shown_time
from services.cli.output import Output, facts_table
from services.cli.requests import request_id_or_derived
from services.cli.submit import parse
from services.local.ready import Ready

app = group("Correct a wrong record: new items supersede it, and it is erased.")


@command(
    app,
    "correct",
    [
        ("What is held of an end user?", "idv record list --subject user-17"),
        ("Its device was another one", "idv correct customers/acme/sessions/0198…/records/0198… device.yaml"),
    ],
)
async def correct(
    record: Annotated[str, typer.Argument(help="The wrong record's name.")],
    items: Annotated[
        Path,
        typer.Argument(
            help="The corrected items, as for `submit`: one part, whole; `-` reads standard input."
        ),
    ],
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """The wrong record is unreadable when this answers; the right one ends when it would have ended.

    Images and documents are deleted and collected again.
    """
    item_set = parse(sys.stdin.read() if str(items) == "-" else items.read_text())
    content = record.encode(), item_set.SerializeToString(deterministic=True)
    request = correct_record(record, item_set, request_id_or_derived(request_id, *content))
    async with Suite(Ready.read(connect)) as suite:
        stub = suite.stub(RightsServiceStub, "retention", suite.customer(identity))
        answer = await stub.CorrectRecord(request, timeout=CALL_SECONDS)
    people = {
        "record": answer.record.name,
        "supersedes": answer.record.supersedes,
        "ends": shown_time(answer.record.expire_time),
        "deletion": f"{answer.deletion}, which has the receipt",
    }
    Output(as_json).answer({"request_id": request.request_id, **plain(answer)}, facts_table(people))
