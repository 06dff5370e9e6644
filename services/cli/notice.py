"""`idv notice`: checks, drafts, announces and shows versions of the privacy notice."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from idv.errors import FieldViolation, IdvError, Reason
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from rich.markdown import Markdown
from rich.text import Text

from services.cli.client import CALL_SECONDS, NOBODY, Suite
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.messages import name_of, plain, shown_time, timestamp
from services.cli.notices import notice_facts, terms_table
from services.cli.output import Output, facts_table, hint, rows_table
from services.cli.requests import request_id_or_derived, request_id_or_new
from services.local.ready import Ready
from services.notice.catalogue import catalogue
from services.notice.faults import InvalidNoticeError
from services.notice.folder import Draft, Sources, parse, read_folder

if TYPE_CHECKING:
    from idv.notice.v1.notice_pb2_grpc import NoticeServiceAsyncStub


class Judgement(enum.StrEnum):
    """What an author says of a change."""

    IMMATERIAL = "immaterial"
    MATERIAL = "material"


app = group("Check, draft, review, announce and show versions of the privacy notice.")

Folder = Annotated[Path, typer.Argument(help="The version's folder: terms.yaml, text.en.md, …")]
Number = Annotated[int, typer.Argument(min=1, metavar="NUMBER", help="The version's number.")]
AsOf = Annotated[
    datetime | None, typer.Option("--as-of", help="What was in force then? In UTC. Default: now.")
]

Declare = Annotated[
    Judgement | None,
    typer.Option("--declare", help="How you judge the change. Needed where only the text changes."),
]
Reasoned = Annotated[str, typer.Option("--reason", help="Why, in a sentence; kept with the announcement.")]

_STATES = notice_pb2.NoticeState.DESCRIPTOR


@command(
    app,
    "check",
    [("Before anything is sent: every fault at once, with its line", "idv notice check versions/2")],
)
def check(folder: Folder, as_json: Json = False) -> None:
    """Check a version's folder offline, without any service."""
    _, draft = _checked(folder)
    languages = [text.language for text in draft.texts]
    value = {
        "good": True,
        "items": len(draft.terms.items),
        "retention_days": draft.terms.retention_days,
        "languages": list(languages),
    }
    optional = sum(item.optional for item in draft.terms.items)
    facts = {
        "items": f"{len(draft.terms.items)}, {optional} of them optional",
        "kept": f"{draft.terms.retention_days} days",
        "languages": ", ".join(languages),
    }
    Output(as_json).answer(value, Text("✓ good: it can be drafted", "bold green"), facts_table(facts))


@command(app, "draft", [("Draft a version from its folder", "idv notice draft versions/2")])
async def draft(
    folder: Folder,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Draft a version, as the privacy officer. The same folder twice is one draft."""
    sources, checked = _checked(folder)
    request = draft_request(sources, checked, request_id)
    async with Suite(Ready.read(connect)) as suite:
        answer = await officer(suite, identity).CreateNotice(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, **plain(answer)}
    Output(as_json).answer(value, facts_table(notice_facts(answer.notice)))
    hint(f"next: idv notice review {answer.notice.version}")


@command(
    app,
    "announce",
    [
        ("In force at once", "idv notice announce 1"),
        ("In force from an instant on", "idv notice announce 2 --at 2027-01-01T00:00:00"),
        (
            "Only the text changes: say how you judge it, and why",
            "idv notice announce 3 --declare immaterial --reason 'clearer words for the same'",
        ),
        ("As another person than the author", "idv notice announce 2 --as service:officer/approver"),
    ],
)
async def announce(
    number: Number,
    at: Annotated[
        datetime | None, typer.Option("--at", help="When it takes effect, in UTC. Default: at once.")
    ] = None,
    declare: Declare = None,
    reason: Reasoned = "",
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Announce a draft, as the privacy officer."""
    request = notice_pb2.AnnounceNoticeRequest(
        name=f"notices/{number}",
        request_id=request_id_or_new(request_id),
        effective_time=timestamp(at.replace(tzinfo=UTC)) if at else None,
        declared=declared(declare),
        reason=reason,
    )
    async with Suite(Ready.read(connect)) as suite:
        answer = await officer(suite, identity).AnnounceNotice(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, **plain(answer)}
    Output(as_json).answer(value, facts_table(notice_facts(answer.notice)))


@command(
    app,
    "show",
    [
        ("The notice in force, as people read it", "idv notice show"),
        ("The one that was in force then", "idv notice show --as-of 2026-11-01T12:00:00"),
    ],
)
async def show(
    number: Annotated[int | None, typer.Argument(min=1, help="A version. Default: the one in force.")] = None,
    as_of: AsOf = None,
    language: Annotated[str, typer.Option(help="Language of the text.")] = "en",
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """Show a version's text and instants."""
    notice = await _fetched(connect, number, as_of)
    text = next((text for text in notice.texts if text.language == language), None)
    body = Markdown(text.markdown) if text else Text(f"it has no text in {language}", "yellow")
    Output(as_json).answer(plain(notice), facts_table(notice_facts(notice)), "", body)


@command(app, "terms", [("What may be collected, from where, for how long", "idv notice terms"),
                        ("Of another version", "idv notice terms 2 --json")])  # fmt: skip
async def terms(
    number: Annotated[int | None, typer.Argument(min=1, help="A version. Default: the one in force.")] = None,
    as_of: AsOf = None,
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """Show a version's terms: the half of the notice that the suite enforces."""
    notice = await _fetched(connect, number, as_of)
    Output(as_json).answer(plain(notice.terms), facts_table(notice_facts(notice)), terms_table(notice.terms))


@command(
    app,
    "list",
    [
        ("Every announced version", "idv notice list"),
        ("Drafts and withdrawn ones too", "idv notice list --as service:officer"),
    ],
)
async def list_notices(connect: Connect = READY_FILE, identity: As = None, as_json: Json = False) -> None:
    """List versions, the newest first."""
    async with Suite(Ready.read(connect)) as suite:
        who = suite.service(identity, "officer") if identity else NOBODY
        stub = suite.stub(NoticeServiceStub, "notice", who)
        answer = await stub.ListNotices(notice_pb2.ListNoticesRequest(page_size=1000), timeout=CALL_SECONDS)
    rows = [
        (
            str(notice.version),
            name_of(_STATES, notice.state).replace("_", " "),
            "material" if notice.material else "",
            shown_time(notice.announce_time),
            shown_time(notice.in_force_time),
            shown_time(notice.superseded_time),
        )
        for notice in answer.notices
    ]
    columns = ("Version", "State", "", "Announced", "In force from", "Until")
    Output(as_json).answer(plain(answer), rows_table(columns, rows))


def declared(judgement: Judgement | None) -> notice_pb2.Materiality.ValueType:
    """The contract's word for a judgement."""
    if judgement is None:
        return notice_pb2.MATERIALITY_UNSPECIFIED
    return notice_pb2.Materiality.Value(f"MATERIALITY_{judgement.name}")


def draft_request(sources: Sources, checked: Draft, request_id: str | None) -> notice_pb2.CreateNoticeRequest:
    """The request that drafts what a folder holds."""
    texts = [
        notice_pb2.NoticeText(language=text.language, title=text.title, markdown=sources.texts[text.language])
        for text in checked.texts
    ]
    content = (part for text in texts for part in (text.language.encode(), text.markdown.encode()))
    return notice_pb2.CreateNoticeRequest(
        request_id=request_id_or_derived(request_id, sources.terms_yaml.encode(), *content),
        terms_yaml=sources.terms_yaml,
        texts=texts,
    )


def _checked(folder: Path) -> tuple[Sources, Draft]:
    try:
        sources = read_folder(folder)
        return sources, parse(sources, catalogue())
    except InvalidNoticeError as error:
        raise _refused(folder, error) from None


def _refused(folder: Path, error: InvalidNoticeError) -> IdvError:
    faults = error.faults
    one = faults[0] if len(faults) == 1 else None
    return IdvError(
        Reason.ERROR_REASON_NOTICE_INVALID,
        str(one).removesuffix(f" {one.remedy}.") if one else f"{folder} has {len(faults)} faults",
        remedy=one.remedy if one else "correct each as said below",
        violations=[
            FieldViolation(
                f"{fault.file}:{fault.line or 1} {fault.field}".strip(), f"{fault.reason}. {fault.remedy}."
            )
            for fault in faults
        ],
    )


def officer(suite: Suite, given: str | None) -> NoticeServiceAsyncStub:
    """The notice service's stub, as the officer."""
    return suite.stub(NoticeServiceStub, "notice", suite.service(given, "officer"))


async def _fetched(connect: Path, number: int | None, as_of: datetime | None) -> notice_pb2.Notice:
    request = notice_pb2.GetNoticeRequest(
        name=f"notices/{number}" if number else "",
        as_of_time=timestamp(as_of.replace(tzinfo=UTC)) if as_of else None,
    )
    async with Suite(Ready.read(connect)) as suite:
        stub = suite.stub(NoticeServiceStub, "notice", NOBODY)
        return (await stub.GetNotice(request, timeout=CALL_SECONDS)).notice
