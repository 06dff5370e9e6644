"""`idv customer offboard`: exports all that a Customer has, then ends it for good, and keeps the receipt."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from idv import archives, receipts
from idv.archives import ArchiveError, PartialFile
from idv.errors import IdvError, Reason
from idv.retention.v1 import offboarding_pb2 as pb
from idv.retention.v1.offboarding_pb2_grpc import OffboardingServiceStub
from rich.text import Text

from services.cli.account_options import Id
from services.cli.client import CALL_SECONDS, Suite, Who
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command
from services.cli.customer import app
from services.cli.export import fetch
from services.cli.failure import NotAsPromisedError, usage
from services.cli.messages import name_of, plain, shown_time
from services.cli.output import Output, facts_table, hint
from services.cli.records import counted, size
from services.cli.requests import request_id_or_new
from services.local.ready import Ready
from services.runtime.resources import customer_name

if TYPE_CHECKING:
    from idv.retention.v1.offboarding_pb2_grpc import OffboardingServiceAsyncStub

_LOOK_SECONDS = 0.5
_STEPS = {
    pb.OFFBOARDING_STATE_CLOSING: "suspended; storage is being closed to it",
    pb.OFFBOARDING_STATE_DELETING: "closed, its key is destroyed; everything is being deleted",
    pb.OFFBOARDING_STATE_TELLING: "everything is deleted; the Customer is being told",
    pb.OFFBOARDING_STATE_REMOVING: "told; its contacts are being removed",
}


@command(
    app,
    "offboard",
    [
        ("Export all, verify the archive, then off-board", "idv customer offboard acme --export acme.zip"),
        ("It broke off: the same command goes on", "idv customer offboard acme --export acme.zip"),
        ("The Customer has its archive", "idv customer offboard acme --no-export --yes"),
    ],
)
async def offboard(
    customer: Id,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="The archive of all that it has.")
    ] = None,
    no_export: Annotated[bool, typer.Option("--no-export", help="Off-board without an archive.")] = False,
    sure: Annotated[bool, typer.Option("--yes", help="Do not ask for the id again.")] = False,
    receipt: Annotated[
        Path | None,
        typer.Option("--receipt", metavar="FILE", help="Default: receipt-offboarding-ID.json here."),
    ] = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Export all, delete all, destroy its key, remove its contacts. Nothing of it can be taken back."""
    if no_export == (export is not None):
        raise usage("it is not said whether to export", "give --export FILE or --no-export")
    async with Suite(Ready.read(connect)) as suite:
        who = suite.service(identity, "officer")
        stub = suite.stub(OffboardingServiceStub, "retention", who)
        if await _begun(stub, customer):
            hint("its off-boarding has begun: going on")
        else:
            if export is not None:
                await _export(suite, who, customer, export)
            _confirm(customer, sure)
        request = pb.OffboardCustomerRequest(
            customer=customer_name(customer), request_id=request_id_or_new(request_id)
        )
        ended = await _carried_out(stub, request)
        key = suite.ready.log_public_key
    file = receipt or Path(f"receipt-offboarding-{customer}.json")
    file.write_text(ended.receipt.json)
    try:
        receipts.verify(ended.receipt.json, key)
    except receipts.ReceiptError as error:
        raise NotAsPromisedError(f"the receipt does not verify: {error}") from error
    people = {
        "off-boarded": ended.customer,
        "deletion": ended.deletion,
        "final": shown_time(ended.receipt.final_time),
        "archive": str(export) if export and export.exists() else None,
        "receipt": Text.assemble(str(file), ("  ✓ verified offline", "green")),
    }
    value = {"offboarding": plain(ended), "receipt_file": str(file)}
    Output(as_json).answer(value, facts_table(people))


async def _begun(stub: OffboardingServiceAsyncStub, customer: str) -> bool:
    try:
        request = pb.GetOffboardingRequest(customer=customer_name(customer))
        await stub.GetOffboarding(request, timeout=CALL_SECONDS)
    except IdvError as error:
        if error.reason != Reason.ERROR_REASON_NOT_FOUND:
            raise
        return False
    return True


async def _export(suite: Suite, who: Who, customer: str, file: Path) -> None:
    """The archive, verified and of this Customer."""
    await fetch(suite, who, customer, None, PartialFile.begin(file))
    try:
        found = archives.verify(file)
    except ArchiveError as error:
        raise usage(f"nothing is deleted: {error}", "export again", field="--export") from error
    hint(f"{file} is verified: {counted(found.file_count, 'file')}, {size(found.size_bytes)}")


def _confirm(customer: str, sure: bool) -> None:
    if sure:
        return
    typed = ""
    if sys.stdin.isatty():
        typed = str(typer.prompt(f"This ends {customer} for good. Type its id to go on", err=True))
    if typed.strip() != customer:
        raise usage("nothing is deleted: the id was not typed", "type the Customer's id, or give --yes")


async def _carried_out(
    stub: OffboardingServiceAsyncStub, request: pb.OffboardCustomerRequest
) -> pb.Offboarding:
    """The off-boarding once it is over, each step told."""
    found = (await stub.OffboardCustomer(request, timeout=CALL_SECONDS)).offboarding
    shown = pb.OFFBOARDING_STATE_UNSPECIFIED
    while found.state != pb.OFFBOARDING_STATE_DONE:
        if found.state != shown:
            shown = found.state
            hint(_STEPS.get(shown, name_of(pb.OffboardingState.DESCRIPTOR, shown)))
        await asyncio.sleep(_LOOK_SECONDS)
        asked = pb.GetOffboardingRequest(customer=request.customer)
        found = (await stub.GetOffboarding(asked, timeout=CALL_SECONDS)).offboarding
    return found
