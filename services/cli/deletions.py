"""Carries a deletion out from the command line: counts it, or waits for its end and keeps the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from idv import receipts
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.types.v1 import errors_pb2
from rich.console import RenderableType
from rich.text import Text

from services.cli.client import CALL_SECONDS, STREAM_SECONDS, Suite, Who, parent
from services.cli.failure import NotAsPromisedError
from services.cli.messages import last, name_of, plain, shown_time
from services.cli.output import Output, facts_table, hint
from services.cli.records import counted
from services.cli.requests import request_id_or_new
from services.local.ready import Ready

_STATES = deletions_pb2.DeletionState.DESCRIPTOR
_REASONS = errors_pb2.ErrorReason.DESCRIPTOR
_ENDED = {
    deletions_pb2.DELETION_STATE_DONE,
    deletions_pb2.DELETION_STATE_PARTIAL,
    deletions_pb2.DELETION_STATE_FAILED,
}


@dataclass(frozen=True)
class Options:
    """What every deletion on the command line may be told."""

    receipt: Path | None
    dry_run: bool
    request_id: str | None
    connect: Path
    identity: str | None
    as_json: bool


async def delete(target: deletions_pb2.DeletionTarget, options: Options) -> None:
    """Deletes the target and prints what became of it, or with `dry_run` counts it."""
    async with Suite(Ready.read(options.connect)) as suite:
        who = suite.customer(options.identity)
        if options.dry_run:
            await _count(suite, who, target, options.as_json)
            return
        request = deletions_pb2.CreateDeletionRequest(
            parent=parent(who), request_id=request_id_or_new(options.request_id), target=target
        )
        deletion = await carried_out(suite, who, request)
        key = suite.ready.log_public_key
    _check_end(deletion)
    file = options.receipt or Path(f"receipt-{last(deletion.name)}.json")
    file.write_text(deletion.receipt.json)
    _check_receipt(deletion.receipt.json, key)
    people: dict[str, RenderableType | None] = {
        "deleted": _counts(deletion),
        "deletion": deletion.name,
        "failed": _failures(deletion.outcomes),
        "final": shown_time(deletion.receipt.final_time),
        "receipt": Text.assemble(str(file), ("  ✓ verified offline", "green")),
        "request id": request.request_id,
    }
    value = {"request_id": request.request_id, "deletion": plain(deletion), "receipt_file": str(file)}
    Output(options.as_json).answer(value, facts_table(people))
    hint(f"verify it anywhere: idv receipt verify {file} --key '{key.splitlines()[0]}'")


async def carried_out(
    suite: Suite, who: Who, request: deletions_pb2.CreateDeletionRequest
) -> deletions_pb2.Deletion:
    """The deletion asked for, once it has ended."""
    stub = suite.stub(DeletionServiceStub, "retention", who)
    deletion = (await stub.CreateDeletion(request, timeout=CALL_SECONDS)).deletion
    if deletion.state in _ENDED:
        return deletion
    hint("all of it is unreadable; waiting until its bytes are gone")
    watch = deletions_pb2.WatchDeletionRequest(name=deletion.name)
    async for state in stub.WatchDeletion(watch, timeout=STREAM_SECONDS):
        deletion = state.deletion
        if deletion.state not in _ENDED and deletion.progress_total:
            hint(f"{deletion.progress_done} of {deletion.progress_total}: {_counts(deletion)}")
    return deletion


async def _count(suite: Suite, who: Who, target: deletions_pb2.DeletionTarget, as_json: bool) -> None:
    stub = suite.stub(DeletionServiceStub, "retention", who)
    request = deletions_pb2.CreateDeletionRequest(
        parent=parent(who), request_id=request_id_or_new(None), target=target, dry_run=True
    )
    found = (await stub.CreateDeletion(request, timeout=CALL_SECONDS)).deletion
    people = {"would be deleted": _counts(found), "not to be found": _failures(found.outcomes)}
    Output(as_json).answer({"dry_run": True, "deletion": plain(found)}, facts_table(people))


def _counts(deletion: deletions_pb2.Deletion) -> str:
    return f"{counted(deletion.record_count, 'record')}, {counted(deletion.session_count, 'session')}"


def _failures(outcomes: Sequence[deletions_pb2.TargetOutcome]) -> str | None:
    """Which targets failed, and why; None when none did."""
    failed = [
        f"{one.scope} {one.index + 1}: {name_of(_REASONS, one.failure_reason)}"
        for one in outcomes
        if one.state == deletions_pb2.DELETION_STATE_FAILED
    ]
    return "\n".join(failed) or None


def _check_end(deletion: deletions_pb2.Deletion) -> None:
    if deletion.HasField("receipt"):
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
