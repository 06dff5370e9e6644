"""`idv delete`: deletes for good, whatever the scope, and keeps the receipt."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from idv.retention.v1 import deletions_pb2

from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.deletions import Options, delete
from services.cli.failure import usage
from services.cli.messages import timestamp
from services.cli.session import kept

app = group("Delete for good: a record, a session, a subject, a category, a time, several or everything.")

Receipt = Annotated[
    Path | None,
    typer.Option(
        "--receipt", metavar="FILE", help="Where the receipt goes. Default: receipt-DELETION.json here."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only count what would be deleted now; nothing is changed.")
]
_Times = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]


@command(app, "record", [("One record", "idv delete record customers/acme/sessions/0198…/records/0198…")])
async def record(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The record's name.")],
    receipt: Receipt = None,
    dry_run: DryRun = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete one record."""
    target = deletions_pb2.DeletionTarget(record=name)
    await delete(target, Options(receipt, dry_run, request_id, connect, identity, as_json))


@command(app, "session", [("A session with everything in it", "idv delete session session.json")])
async def session(
    name: Annotated[
        str, typer.Argument(metavar="SESSION", help="Its name, or the file of `session create --save`.")
    ],
    receipt: Receipt = None,
    dry_run: DryRun = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete a session with everything in it; it takes no data ever after."""
    target = deletions_pb2.DeletionTarget(session=kept(name)[0])
    await delete(target, Options(receipt, dry_run, request_id, connect, identity, as_json))


@command(
    app,
    "subject",
    [
        ("Everything of one end user", "idv delete subject user-17 --receipt user-17.json"),
        ("How much would that be?", "idv delete subject user-17 --dry-run"),
    ],
)
async def subject(
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="The Customer's own reference to the end user.")
    ],
    receipt: Receipt = None,
    dry_run: DryRun = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete everything of one end user."""
    target = deletions_pb2.DeletionTarget(subject=reference)
    await delete(target, Options(receipt, dry_run, request_id, connect, identity, as_json))


@command(app, "category", [("Every face image received so far", "idv delete category face_image")])
async def category(
    name: Annotated[str, typer.Argument(metavar="CATEGORY", help="Such as `face_image` or `log`.")],
    receipt: Receipt = None,
    dry_run: DryRun = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete every record of a category received so far; sessions stay."""
    target = deletions_pb2.DeletionTarget(category=name)
    await delete(target, Options(receipt, dry_run, request_id, connect, identity, as_json))


@command(
    app,
    "received",
    [
        ("What came in on one day", "idv delete received --from 2026-11-24 --until 2026-11-25"),
        ("Count it first", "idv delete received --from 2026-11-24T10:00 --until 2026-11-24T11:00 --dry-run"),
    ],
)
async def received(
    start: Annotated[datetime, typer.Option("--from", formats=_Times, help="From here on, in UTC.")],
    end: Annotated[datetime, typer.Option("--until", formats=_Times, help="Up to here, in UTC.")],
    receipt: Receipt = None,
    dry_run: DryRun = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete what was received within a time, and sessions opened in it that hold nothing else."""
    span = deletions_pb2.TimeRange(
        start_time=timestamp(start.replace(tzinfo=UTC)), end_time=timestamp(end.replace(tzinfo=UTC))
    )
    target = deletions_pb2.DeletionTarget(received=span)
    await delete(target, Options(receipt, dry_run, request_id, connect, identity, as_json))


@command(
    app,
    "several",
    [
        (
            "Two end users in one deletion",
            "idv delete several --subject user-17 --subject user-18",
        ),
        ("One a line, from a file", "idv delete several --subjects leavers.txt"),
    ],
)
async def several(
    records: Annotated[list[str] | None, typer.Option("--record", metavar="NAME", help="A record.")] = None,
    sessions: Annotated[
        list[str] | None, typer.Option("--session", metavar="SESSION", help="A session, by name or file.")
    ] = None,
    subjects: Annotated[
        list[str] | None, typer.Option("--subject", metavar="REFERENCE", help="An end user.")
    ] = None,
    listed: Annotated[
        Path | None, typer.Option("--subjects", metavar="FILE", help="End users, one a line.")
    ] = None,
    receipt: Receipt = None,
    dry_run: DryRun = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete up to 500 targets under one receipt, with an outcome for each."""
    lines = listed.read_text().splitlines() if listed else []
    targets = deletions_pb2.DeletionTargets(
        records=records or [],
        sessions=[kept(name)[0] for name in sessions or []],
        subjects=[*(subjects or []), *(line.strip() for line in lines if line.strip())],
    )
    target = deletions_pb2.DeletionTarget(targets=targets)
    await delete(target, Options(receipt, dry_run, request_id, connect, identity, as_json))


@command(
    app,
    "everything",
    [
        ("How much is there?", "idv delete everything --dry-run"),
        ("All of it", "idv delete everything --yes"),
    ],
)
async def everything(
    sure: Annotated[
        bool, typer.Option("--yes", help="Really everything that the Customer has here.")
    ] = False,
    receipt: Receipt = None,
    dry_run: DryRun = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Delete everything that the Customer has here; every session closes."""
    if not (sure or dry_run):
        raise usage(
            "this deletes everything of the Customer", "count with --dry-run, then give --yes", "--yes"
        )
    target = deletions_pb2.DeletionTarget(everything=True)
    await delete(target, Options(receipt, dry_run, request_id, connect, identity, as_json))
