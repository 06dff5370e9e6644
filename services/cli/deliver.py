"""`idv notice deliver`: how far the telling of a version is, its pause, its gate, and the evidence of it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer
from idv.notice.v1 import customers_pb2
from idv.notice.v1 import deliveries_pb2 as pb
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from idv.notice.v1.deliveries_pb2_grpc import DeliveryServiceStub
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.cli import evidence_page
from services.cli.client import CALL_SECONDS, Suite
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.credentials import clock_of
from services.cli.messages import name_of, plain, shown_time
from services.cli.output import Output, facts_table
from services.cli.requests import request_id_or_new
from services.local.ready import Ready

if TYPE_CHECKING:
    from idv.notice.v1.deliveries_pb2_grpc import DeliveryServiceAsyncStub

app = group("Follow how Customers are told of a version; pause, resume, override; show the evidence.")

Number = Annotated[int, typer.Argument(min=1, metavar="NUMBER", help="The version's number.")]
Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]

_PAGE = 1000
_LOOK_SECONDS = 0.5
_STATES = customers_pb2.DeliveryState.DESCRIPTOR
_COLUMNS = (
    *("customer", "state", "state_time", "audience", "recipient", "reply", "attempts"),
    *("message_id", "create_time"),
)


@command(
    app,
    "status",
    [
        ("How far is it, and what does the gate wait for?", "idv notice deliver status 2"),
        ("Stay, with a progress bar, until nothing is queued", "idv notice deliver status 2 --follow"),
    ],
)
async def status(
    number: Number,
    follow: Annotated[bool, typer.Option("--follow", help="Stay until nothing is queued.")] = False,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Show how far the telling of a version is, and when it will probably end."""
    async with Suite(Ready.read(connect)) as suite:
        stub = _officer(suite, identity)
        found = await (_followed(stub, number) if follow else _progress(stub, number))
    Output(as_json).answer(plain(found), facts_table(_facts(found)))


@command(
    app,
    "pause",
    [("Send nothing more for now", 'idv notice deliver pause 2 --reason "wrong link"')],
)
async def pause(
    number: Number,
    reason: Reason,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Pause the telling of a version: what is under way ends, nothing more is sent."""
    request = pb.PauseDeliveryRequest(version=number, request_id=request_id_or_new(request_id), reason=reason)
    async with Suite(Ready.read(connect)) as suite:
        answer = await _officer(suite, identity).PauseDelivery(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, **plain(answer)}
    Output(as_json).answer(value, facts_table(_facts(answer.progress)))


@command(app, "resume", [("Go on", "idv notice deliver resume 2")])
async def resume(
    number: Number,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Resume the telling of a version."""
    request = pb.ResumeDeliveryRequest(version=number, request_id=request_id_or_new(request_id))
    async with Suite(Ready.read(connect)) as suite:
        answer = await _officer(suite, identity).ResumeDelivery(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, **plain(answer)}
    Output(as_json).answer(value, facts_table(_facts(answer.progress)))


@command(
    app,
    "override",
    [
        (
            "Open the gate, as an approver",
            'idv notice deliver override 2 --reason "mail account closed"',
        )
    ],
)
async def override(
    number: Number,
    reason: Reason,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Open the gate although not everybody was told. By an approver alone; the reason stays on record."""
    request = pb.OverrideGateRequest(version=number, request_id=request_id_or_new(request_id), reason=reason)
    async with Suite(Ready.read(connect)) as suite:
        stub = suite.stub(DeliveryServiceStub, "notice", suite.service(identity, "approver"))
        answer = await stub.OverrideGate(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, **plain(answer)}
    Output(as_json).answer(value, facts_table(_facts(answer.progress)))


@command(
    app,
    "evidence",
    [
        ("A row for each Customer, with what the mail server said", "idv notice deliver evidence 2 > 2.csv"),
        ("Of one Customer", "idv notice deliver evidence 2 --customer acme"),
        ("As a page to print", "idv notice deliver evidence 2 --html > 2.html"),
    ],
)
async def evidence(
    number: Number,
    customer: Annotated[str | None, typer.Option(help="One Customer alone.")] = None,
    html: Annotated[bool, typer.Option("--html", help="Write a page to print instead of CSV.")] = False,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Write the evidence of each delivery as CSV, or as a page to print."""
    ready = Ready.read(connect)
    async with Suite(ready) as suite:
        stub = suite.stub(CustomerServiceStub, "notice", suite.service(identity, "officer"))
        if html and not as_json:
            typer.echo(evidence_page.head(number, _COLUMNS, clock_of(ready).now()))
        elif not as_json:
            typer.echo(",".join(_COLUMNS))
        token = ""
        while True:
            request = customers_pb2.ListDeliveriesRequest(version=number, page_size=_PAGE, page_token=token)
            answer = await stub.ListDeliveries(request, timeout=CALL_SECONDS)
            for one in answer.deliveries:
                if customer in (None, one.customer.removeprefix("customers/")):
                    shown = evidence_page.row(_values(one)) if html else _row(one)
                    typer.echo(json.dumps(plain(one)) if as_json else shown)
            token = answer.next_page_token
            if not token:
                break
    if html and not as_json:
        typer.echo(evidence_page.TAIL)


@command(
    app,
    "acknowledgements",
    [
        ("Who has seen or accepted version 2?", "idv notice deliver acknowledgements 2"),
        ("A line of JSON for each", "idv notice deliver acknowledgements 2 --json"),
    ],
)
async def acknowledgements(
    number: Number, connect: Connect = READY_FILE, identity: As = None, as_json: Json = False
) -> None:
    """List which Customers have seen or accepted a version, since when, and how that came in."""
    async with Suite(Ready.read(connect)) as suite:
        stub = _officer(suite, identity)
        if not as_json:
            typer.echo(",".join(("customer", "kind", "channel", "acknowledge_time")))
        token = ""
        while True:
            request = pb.ListAcknowledgementsRequest(version=number, page_size=_PAGE, page_token=token)
            answer = await stub.ListAcknowledgements(request, timeout=CALL_SECONDS)
            for one in answer.acknowledgements:
                typer.echo(json.dumps(plain(one)) if as_json else _acknowledged(one))
            token = answer.next_page_token
            if not token:
                return


def _acknowledged(of: pb.Acknowledgement) -> str:
    kinds, channels = customers_pb2.AcknowledgementKind.DESCRIPTOR, pb.AcknowledgementChannel.DESCRIPTOR
    names = (name_of(kinds, of.kind), name_of(channels, of.channel))
    return ",".join((of.customer, *names, shown_time(of.acknowledge_time)))


def _values(of: customers_pb2.Delivery) -> tuple[str, ...]:
    return (
        *(of.customer, name_of(_STATES, of.state), shown_time(of.state_time)),
        *("yes" if of.audience else "no", of.recipient, of.reply, str(of.attempt_count)),
        *(of.message_id, shown_time(of.create_time)),
    )


def _row(of: customers_pb2.Delivery) -> str:
    """One line of CSV; nothing in it is taken for a formula by a spreadsheet."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(
        f"'{value}" if value.startswith(("=", "+", "-", "@")) else value for value in _values(of)
    )
    return line.getvalue()


def _facts(of: pb.DeliveryProgress) -> dict[str, str | None]:
    return {
        "version": str(of.version),
        "told": f"{of.accepted_count + of.covered_count} of {of.total_count}",
        "queued": str(of.queued_count),
        "accepted": str(of.accepted_count),
        "bounced": str(of.bounced_count) if of.bounced_count else None,
        "failed": str(of.failed_count) if of.failed_count else None,
        "covered": f"{of.covered_count} by the website" if of.covered_count else None,
        "gate": _gate(of),
        "paused": shown_time(of.pause_time) or None,
        "probably done": shown_time(of.estimated_end_time) or None,
    }


def _gate(of: pb.DeliveryProgress) -> str:
    if of.HasField("clear_time"):
        return f"clear from {shown_time(of.clear_time)}"
    return f"waits for {of.waiting_count}"


async def _progress(stub: DeliveryServiceAsyncStub, number: int) -> pb.DeliveryProgress:
    request = pb.GetDeliveryProgressRequest(version=number)
    return (await stub.GetDeliveryProgress(request, timeout=CALL_SECONDS)).progress


async def _followed(stub: DeliveryServiceAsyncStub, number: int) -> pb.DeliveryProgress:
    columns = (TextColumn("telling"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("telling", total=None)
        async for found in _looks(stub, number):
            done = found.total_count - found.queued_count
            bar.update(task, total=found.total_count, completed=done)
            if not found.queued_count or found.HasField("pause_time"):
                break
    return found


async def _looks(stub: DeliveryServiceAsyncStub, number: int) -> AsyncIterator[pb.DeliveryProgress]:
    while True:
        yield await _progress(stub, number)
        await asyncio.sleep(_LOOK_SECONDS)


def _officer(suite: Suite, given: str | None) -> DeliveryServiceAsyncStub:
    return suite.stub(DeliveryServiceStub, "notice", suite.service(given, "officer"))
