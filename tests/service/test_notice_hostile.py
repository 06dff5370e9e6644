"""What officers should not send, and what they should not do at once: each meets a typed answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from idv.errors import IdvError, Reason
from idv.notice.v1 import notice_pb2
from playwright.async_api import async_playwright

from services.local.databases import ServiceDatabase
from tests.notice_parts import TEXT, call, pages, replica, sources
from tests.notice_process import running
from tests.service.test_notice_api import MORE_RIGHTS, announce, draft, drafting, publish, refused
from tests.service.test_notice_browser import CHROMIUM, visit

SIZES = {
    1_000_000: Reason.ERROR_REASON_NOTICE_INVALID,
    1_500_000: Reason.ERROR_REASON_INVALID_ARGUMENT,
}
"""What a text of so many characters is refused for."""
HEBREW = "אנו שומרים נתונים למשך 30 יום בלבד."


async def test_of_two_officers_who_announce_at_once_one_wins_and_the_other_is_told(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        await publish(process, sources())
        effective = datetime.now(UTC) + timedelta(days=9)
        names = [(await draft(process, sources(MORE_RIGHTS))).name for _ in range(2)]
        calls = [announce(process, name, effective) for name in (*names, *names)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        won = [answer for answer in answers if isinstance(answer, notice_pb2.Notice)]
        lost = [answer for answer in answers if isinstance(answer, IdvError)]
        assert (len(won), len(lost)) == (1, 3)
        assert {error.reason for error in lost} == {Reason.ERROR_REASON_WRONG_STATE}
        listed = (await process.officer().ListNotices(notice_pb2.ListNoticesRequest())).notices
        announced = [notice for notice in listed if notice.state == notice_pb2.NOTICE_STATE_ANNOUNCED]
        assert [notice.name for notice in announced] == [won[0].name]


async def test_a_notice_of_a_megabyte_is_refused_and_the_service_serves_on(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        for size, reason in SIZES.items():
            huge = drafting(sources(en="# T\n\n" + "x" * size))
            assert (await refused(process.officer().CreateNotice(huge))).reason == reason
        assert (await publish(process, sources())).version == 1


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
async def test_a_paragraph_written_from_right_to_left_stands_at_the_right(
    service_database: ServiceDatabase,
) -> None:
    text = TEXT.replace("{{ items }}", f"{HEBREW}\n\n{{{{ items }}}}")
    async with (
        replica(service_database) as part,
        pages(part) as url,
        async_playwright() as playwright,
    ):
        drafted, _ = await part.versions.draft(sources(en=text), call())
        await part.versions.announce(drafted.number, None, call())
        await part.feed.refresh()
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        async with visit(browser, f"{url}/en") as (page, _):
            gaps = await page.get_by_text(HEBREW).evaluate(
                "p => { const r = document.createRange(); r.selectNodeContents(p);"
                " const [words, block] = [r.getBoundingClientRect(), p.getBoundingClientRect()];"
                " return [words.left - block.left, block.right - words.right] }"
            )
            assert gaps[1] < 2 < gaps[0]
        await browser.close()
