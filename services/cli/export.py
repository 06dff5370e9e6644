"""`idv export`: everything held on an end user, or for a Customer, as an archive that is verified."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from idv import archives
from idv.archives import ArchiveError, PartialFile
from idv.requests import export_customer, export_subject
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.retry import Retry

from services.cli.client import Suite, Who
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.failure import usage
from services.cli.output import Output, byte_progress, facts_table, hint
from services.cli.records import counted, size
from services.local.ready import Ready

app = group("Export everything held on an end user, or for a Customer.")


@command(
    app,
    "export",
    [
        ("Everything held on an end user", "idv export user-17 --output user-17.zip"),
        ("It broke off: the same command goes on", "idv export user-17 --output user-17.zip"),
        ("Everything of a Customer, before it leaves", "idv export --everything --output acme.zip"),
        ("Is an archive whole?", "idv export --verify --output acme.zip"),
    ],
)
async def export(
    subject: Annotated[
        str | None, typer.Argument(metavar="[REFERENCE]", help="The Customer's reference to the end user.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The archive, readable by you alone.")
    ] = Path("export.zip"),
    everything: Annotated[bool, typer.Option("--everything", help="All that the Customer has.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Only verify the file.")] = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Write originals, typed items, attestations, accesses and notice versions; each compared by its SHA-256.

    What is received rests beside FILE until it is whole; within a day the same command goes on from there.
    """
    if not verify and everything == (subject is not None):
        raise usage(
            "it is not said what to export, or twice", "give the end user's reference or --everything"
        )
    if not verify:
        async with Suite(Ready.read(connect)) as suite:
            who = suite.customer(identity)
            await fetch(suite, who, who.name, subject, PartialFile.begin(output, request_id))
    try:
        found = archives.verify(output)
    except ArchiveError as error:
        raise usage(str(error), "export again under a new request id", field="--output") from error
    people = {
        "archive": str(output),
        "of": f"{found.customer}, as of {found.as_of_time}",
        "verified": f"{counted(found.file_count, 'file')}, {size(found.size_bytes)}",
    }
    Output(as_json).answer({"output": str(output), **asdict(found)}, facts_table(people))


async def fetch(suite: Suite, who: Who, customer: str, subject: str | None, partial: PartialFile) -> None:
    """Receives the archive of a Customer's subject, or of all that the Customer has; asked for as `who`."""
    stub = suite.stub(RightsServiceStub, "retention", who)
    if partial.offset:
        hint(f"going on after {size(partial.offset)}")
    with byte_progress() as shown:
        task = shown.add_task("export", total=None)

        def progress(done: int, total: int) -> None:
            shown.update(task, completed=done, total=max(done, total))

        async def once() -> None:
            timeout, offset = archives.EXPORT_SECONDS, partial.offset
            if subject is None:
                request = export_customer(customer, partial.request_id, offset)
                async for part in stub.ExportCustomer(request, timeout=timeout):
                    partial.take(part, progress)
            else:
                one = export_subject(customer, subject, partial.request_id, offset)
                async for piece in stub.ExportSubject(one, timeout=timeout):
                    partial.take(piece, progress)

        try:
            await Retry().run_async(once)
        except BaseException:
            partial.keep()
            hint(f"kept in {partial.path}: the same command goes on; to start anew remove the file")
            raise
    partial.finish()
