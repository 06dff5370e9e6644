"""Chapter: a notice comes into force, and says what the suite may do from then on."""

from __future__ import annotations

import asyncio
import html
import urllib.request
from datetime import timedelta
from importlib import resources
from pathlib import Path

from idv.errors import IdvError, Reason
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub

from services.cli.client import CALL_SECONDS, NOBODY
from services.cli.demo.calls import NOTICE_VERSION, new_id, open_session, refusal, session_request
from services.cli.demo.cast import Person
from services.cli.demo.stage import ACME, OFFICER, Chapter, Stage, Step, eventually, promised
from services.cli.messages import instant, shown_time, timestamp
from services.cli.notice import draft_request
from services.notice.catalogue import catalogue
from services.notice.folder import parse, read_folder

_PAGE_SECONDS = 5.0


async def nothing_without_notice(stage: Stage) -> str:
    """Before any notice is in force, nothing is taken."""
    request = session_request(stage, ACME, Person("nobody"), ("log",))
    return await refusal(open_session(stage, ACME, request), Reason.ERROR_REASON_TERMS_UNKNOWN)


async def announced(stage: Stage) -> str:
    """The shipped version is checked, drafted and announced by the privacy officer."""
    draft = await drafted(stage, NOTICE_VERSION)
    officer = stage.suite.stub(NoticeServiceStub, "notice", OFFICER)
    request = notice_pb2.AnnounceNoticeRequest(name=draft.name, request_id=new_id())
    notice = (await officer.AnnounceNotice(request, timeout=CALL_SECONDS)).notice
    stage.announce_time = instant(notice.announce_time)
    promised(
        notice.version == NOTICE_VERSION, f"version {notice.version} was announced, not {NOTICE_VERSION}"
    )
    items = notice.terms.items
    optional = sum(item.optional for item in items)
    return (
        f"version {notice.version}: {len(items)} items ({optional} optional), "
        f"{notice.terms.retention_days} days, in force {shown_time(notice.in_force_time)}"
    )


async def drafted(stage: Stage, number: int) -> notice_pb2.Notice:
    """A shipped version, drafted by the privacy officer."""
    with resources.as_file(resources.files("services.notice") / "versions" / str(number)) as folder:
        sources = read_folder(Path(folder))
    officer = stage.suite.stub(NoticeServiceStub, "notice", OFFICER)
    request = draft_request(sources, parse(sources, catalogue()), new_id())
    return (await officer.CreateNotice(request, timeout=CALL_SECONDS)).notice


async def any_instant(stage: Stage) -> str:
    """What was in force then? Every past instant has one answer."""
    stub = stage.suite.stub(NoticeServiceStub, "notice", NOBODY)
    notice = (await stub.GetNotice(notice_pb2.GetNoticeRequest(), timeout=CALL_SECONDS)).notice
    before = timestamp(notice.in_force_time.ToDatetime() - timedelta(seconds=1))
    call = stub.GetNotice(notice_pb2.GetNoticeRequest(as_of_time=before), timeout=CALL_SECONDS)
    await refusal(call, Reason.ERROR_REASON_NOT_FOUND)
    return f"now version {notice.version} {notice.digest.hex()[:12]}…; a second earlier: none"


async def on_the_page(stage: Stage) -> str:
    """The public page shows the version in force to anybody."""
    url = stage.suite.ready.public_page
    promised(url is not None, "there is no public page")
    stub = stage.suite.stub(NoticeServiceStub, "notice", NOBODY)
    notice = (await stub.GetNotice(notice_pb2.GetNoticeRequest(), timeout=CALL_SECONDS)).notice

    async def look() -> str | None:
        page = await fetched(str(url))
        return page if page is not None and notice.texts[0].title in page else None

    page = await eventually(look, "the public page does not show the notice")
    return f"HTTP 200 without a credential, {len(page)} characters: “{notice.texts[0].title}”"


async def followed(stage: Stage) -> str:
    """Ingest follows the notice by itself: it takes sessions as soon as one is in force."""

    async def look() -> str | None:
        request = session_request(stage, ACME, Person("the first"), ("log",))
        try:
            return (await open_session(stage, ACME, request)).session.name
        except IdvError as error:
            if error.reason == Reason.ERROR_REASON_TERMS_UNKNOWN:
                return None
            raise

    await eventually(look, "ingest does not learn of the notice")
    after = stage.stack.clock.now() - stage.announce_time
    return f"the first session opened {after.total_seconds():.1f} s after the announcement, without a restart"


async def fetched(url: str) -> str | None:
    """A page as anybody gets it, as text; None while it is not there."""
    status, body = await asyncio.to_thread(_fetch, url)
    return html.unescape(body.decode()) if status == 200 else None


def _fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=_PAGE_SECONDS) as answer:  # noqa: S310 - the stack's own page on loopback
            return answer.status, answer.read()
    except OSError:
        return 0, b""


CHAPTER = Chapter(
    "The notice is the configuration",
    "Nothing enters before a notice says what may be collected, from where, why and for how long. "
    "From then on its terms drive every service.",
    (
        Step("P7", "No notice in force: no session opens", nothing_without_notice),
        Step("P7", "Version 1 is drafted and announced", announced),
        Step("P7", "“What was in force then?” has one answer", any_instant),
        Step("P7", "The public page shows it", on_the_page),
        Step("P7", "Ingest follows at once", followed),
    ),
)
