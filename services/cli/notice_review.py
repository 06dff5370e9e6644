"""`idv notice review|diff|history|withdraw`: what an officer looks at and takes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from rich.text import Text

from services.cli import deliver
from services.cli.client import CALL_SECONDS, NOBODY, Suite
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command
from services.cli.messages import name_of, plain, shown_time, timestamp
from services.cli.notice import Declare, Number, Reasoned, app, declared, officer
from services.cli.notices import changes_table, difference, notice_facts
from services.cli.output import Output, facts_table, rows_table
from services.cli.records import counted
from services.cli.requests import request_id_or_new
from services.local.ready import Ready

_KINDS = notice_pb2.NoticeChangeKind.DESCRIPTOR
_JUDGEMENTS = notice_pb2.Materiality.DESCRIPTOR
_PAGE = 1000


app.add_typer(deliver.app, name="deliver")


@command(
    app,
    "review",
    [
        ("What changes, whom it concerns, what stands against it", "idv notice review 2"),
        ("As it would be announced", "idv notice review 2 --at 2027-01-01T00:00:00 --declare material"),
    ],
)
async def review(
    number: Number,
    at: Annotated[
        datetime | None, typer.Option("--at", help="When it would take effect, in UTC. Default: at once.")
    ] = None,
    declare: Declare = None,
    reason: Reasoned = "",
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Review a draft before it is announced: terms, texts word by word, audience, times, refusals."""
    request = notice_pb2.ReviewNoticeRequest(
        name=f"notices/{number}",
        effective_time=timestamp(at.replace(tzinfo=UTC)) if at else None,
        declared=declared(declare),
        reason=reason,
    )
    async with Suite(Ready.read(connect)) as suite:
        answer = await officer(suite, identity).ReviewNotice(request, timeout=CALL_SECONDS)
    verdict = Text(
        "material" if answer.material else "not material", "bold yellow" if answer.material else "bold green"
    )
    facts = {
        "against": f"version {answer.previous_version}" if answer.previous_version else "nothing: the first",
        "to be told": counted(answer.audience_count, "Customer") if answer.material else None,
        "in about": _span(answer.estimated_delivery.ToTimedelta()) if answer.audience_count else None,
        "minimum lead": _span(answer.minimum_lead.ToTimedelta()) if answer.material else None,
        "earliest": shown_time(answer.earliest_effective_time) or "at once",
    }
    refusals = [Text.assemble(("would be refused: ", "bold red"), refusal) for refusal in answer.refusals]
    Output(as_json).answer(
        plain(answer),
        changes_table(answer.changes),
        *difference(answer.texts),
        "",
        verdict,
        facts_table(facts),
        *refusals,
    )


@command(app, "diff", [("What changed from one version to another", "idv notice diff 1 2")])
async def diff(
    before: Annotated[int, typer.Argument(min=1, help="The earlier version.")],
    after: Annotated[int, typer.Argument(min=1, help="The later version.")],
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Show what differs between two versions: terms, and texts word by word. Drafts with `--as`."""
    request = notice_pb2.CompareNoticesRequest(before_name=f"notices/{before}", after_name=f"notices/{after}")
    async with Suite(Ready.read(connect)) as suite:
        who = suite.service(identity, "officer") if identity else NOBODY
        stub = suite.stub(NoticeServiceStub, "notice", who)
        answer = await stub.CompareNotices(request, timeout=CALL_SECONDS)
    Output(as_json).answer(plain(answer), changes_table(answer.changes), *difference(answer.texts))


@command(app, "history", [("Who did what to which version, and why", "idv notice history")])
async def history(connect: Connect = READY_FILE, identity: As = None, as_json: Json = False) -> None:
    """Show every change of a version's state, as the privacy officer."""
    changes: list[notice_pb2.NoticeChange] = []
    async with Suite(Ready.read(connect)) as suite:
        stub = officer(suite, identity)
        while True:
            after = changes[-1].sequence if changes else 0
            request = notice_pb2.ListNoticeChangesRequest(after_sequence=after, page_size=_PAGE)
            page = (await stub.ListNoticeChanges(request, timeout=CALL_SECONDS)).changes
            changes += page
            if len(page) < _PAGE:
                break
    rows = [
        (
            str(one.version),
            name_of(_KINDS, one.kind),
            shown_time(one.change_time),
            one.actor,
            name_of(_JUDGEMENTS, one.declared) if one.declared else "",
            one.reason,
        )
        for one in changes
    ]
    columns = ("Version", "Change", "When", "By", "Declared", "Reason")
    answer = notice_pb2.ListNoticeChangesResponse(changes=changes)
    Output(as_json).answer(plain(answer), rows_table(columns, rows))


@command(
    app,
    "withdraw",
    [("Take a version back before it takes effect", "idv notice withdraw 2 --reason unclear")],
)
async def withdraw(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence.")],
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Withdraw a draft, or an announced version that is not in force yet, as the privacy officer."""
    request = notice_pb2.WithdrawNoticeRequest(
        name=f"notices/{number}", request_id=request_id_or_new(request_id), reason=reason
    )
    async with Suite(Ready.read(connect)) as suite:
        answer = await officer(suite, identity).WithdrawNotice(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, **plain(answer)}
    Output(as_json).answer(value, facts_table(notice_facts(answer.notice)))


def _span(span: timedelta) -> str:
    """A span of time in the largest unit that it reaches, as it is said: `30 days`."""
    seconds = span.total_seconds()
    for name, unit in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= unit:
            value = round(seconds / unit, 1)
            return f"{value:g} {name}{'' if value == 1 else 's'}"
    return counted(round(seconds), "second")
