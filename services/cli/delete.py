"""`idv delete`: deletes a record, a session or a subject for good, and keeps the receipt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from idv import receipts
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from rich.console import RenderableType
from rich.text import Text

from services.cli.client import CALL_SECONDS, STREAM_SECONDS, Suite, Who, parent
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.failure import NotAsPromisedError
from services.cli.messages import last, name_of, plain, shown_time
from services.cli.output import Output, facts_table, hint
from services.cli.records import counted
from services.cli.requests import request_id_or_new
from services.cli.session import kept
from services.local.ready import Ready

app = group("Delete a record, a session or a subject for good, and keep the receipt.")

Receipt = Annotated[
    Path | None,
    typer.Option(
        "--receipt", metavar="FILE", help="Where the receipt goes. Default: receipt-DELETION.json here."
    ),
]

_STATES = deletions_pb2.DeletionState.DESCRIPTOR
_ENDED = {
    deletions_pb2.DELETION_STATE_DONE,
    deletions_pb2.DELETION_STATE_PARTIAL,
    deletions_pb2.DELETION_STATE_FAILED,
}


@command(app, "record", [("One record", "idv delete record customers/acme/sessions/0198…/records/0198…")])
async def record(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The record's name.")],
    receipt: Receipt = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete one record."""
    target = deletions_pb2.DeletionTarget(record=name)
    await _delete(target, receipt, request_id, connect, identity, as_json)


@command(app, "session", [("A session with everything in it", "idv delete session session.json")])
async def session(
    name: Annotated[
        str, typer.Argument(metavar="SESSION", help="Its name, or the file of `session create --save`.")
    ],
    receipt: Receipt = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete a session with everything in it; it takes no data ever after."""
    target = deletions_pb2.DeletionTarget(session=kept(name)[0])
    await _delete(target, receipt, request_id, connect, identity, as_json)


@command(
    app,
    "subject",
    [
        ("Everything of one end user", "idv delete subject user-17 --receipt user-17.json"),
    ],
)
async def subject(
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="The Customer's own reference to the end user.")
    ],
    receipt: Receipt = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete everything of one end user."""
    target = deletions_pb2.DeletionTarget(subject=reference)
    await _delete(target, receipt, request_id, connect, identity, as_json)


async def _delete(
    target: deletions_pb2.DeletionTarget,
    receipt: Path | None,
    request_id: str | None,
    connect: Path,
    identity: str | None,
    as_json: bool,
) -> None:
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        request = deletions_pb2.CreateDeletionRequest(
            parent=parent(who),
            request_id=request_id_or_new(request_id),
            target=target,
        )
        deletion = await carried_out(suite, who, request)
        key = suite.ready.log_public_key
    value = {"request_id": request.request_id, "deletion": plain(deletion)}
    counts = f"{counted(deletion.record_count, 'record')}, {counted(deletion.session_count, 'session')}"
    _check_end(deletion)
    file = receipt or Path(f"receipt-{last(deletion.name)}.json")
    file.write_text(deletion.receipt.json)
    _check_receipt(deletion.receipt.json, key)
    people: dict[str, RenderableType] = {
        "deleted": counts,
        "deletion": deletion.name,
        "final": shown_time(deletion.receipt.final_time),
        "receipt": Text.assemble(str(file), ("  ✓ verified offline", "green")),
        "request id": request.request_id,
    }
    Output(as_json).answer({**value, "receipt_file": str(file)}, facts_table(people))
    hint(f"verify it anywhere: idv receipt verify {file} --key '{key.splitlines()[0]}'")


async def carried_out(
    suite: Suite, who: Who, request: deletions_pb2.CreateDeletionRequest
) -> deletions_pb2.Deletion:
    """The deletion asked for, once it has ended."""
    stub = suite.stub(DeletionServiceStub, "retention", who)
    deletion = (await stub.CreateDeletion(request, timeout=CALL_SECONDS)).deletion
    if deletion.state in _ENDED:
        return deletion
    hint("the deletion goes on; waiting for its end")
    watch = deletions_pb2.WatchDeletionRequest(name=deletion.name)
    async for state in stub.WatchDeletion(watch, timeout=STREAM_SECONDS):
        deletion = state.deletion
    return deletion


def _check_end(deletion: deletions_pb2.Deletion) -> None:
    if deletion.state == deletions_pb2.DELETION_STATE_DONE:
        return
    raise IdvError(
        Reason.ERROR_REASON_WRONG_STATE,
        f"the deletion {deletion.name} is {name_of(_STATES, deletion.state)}",
        remedy="repeat it with the same --request-id: it is carried on, never done twice",
    )


def _check_receipt(text: str, key: str) -> None:
    try:
        receipts.verify(text, key)
    except receipts.ReceiptError as error:
        raise NotAsPromisedError(f"the receipt does not verify: {error}") from error
