"""The officer's page in a real browser, by the officer's certificate: on phone and desk, light and dark."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # ships no types
from idv.notice.v1 import notice_pb2 as pb
from playwright.async_api import async_playwright

from services.local.databases import ServiceDatabase
from services.notice.folder import read_folder
from tests.notice_parts import SHIPPED, shipped
from tests.notice_process import Process, running
from tests.service.test_notice_api import drafting
from tests.service.test_notice_browser import CHROMIUM, LOOKS, Scheme, visit

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")

PATHS = ("/", "/versions/1", "/versions/2?language=en", "/versions/2?language=zh")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_the_officers_pages_fit_break_no_rule_of_axe_and_ask_for_nothing(
    tmp_path: Path, service_database: ServiceDatabase, width: int, scheme: Scheme
) -> None:
    async with running(tmp_path, service_database) as process, async_playwright() as playwright:
        await draft_an_amendment(process)
        options = ["--no-sandbox", "--disable-background-networking"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        files = process.authority.service("officer")
        shown = {"origin": process.officer_page}
        shown |= {"certPath": str(files.certificate), "keyPath": str(files.private_key)}
        look = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
        for path in PATHS:
            async with visit(
                browser,
                process.officer_page + path,
                client_certificates=[shown],
                ignore_https_errors=True,
                **look,
            ) as (page, seen):
                assert await page.get_by_role("heading", level=1).count() == 1
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert seen == []
                results = await Axe().run(page)
                assert [violation["id"] for violation in results.response["violations"]] == []
                paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (sum(int(part) for part in paper[4:-1].split(",")) > 384) is (scheme == "light")
        await browser.close()


async def draft_an_amendment(process: Process) -> None:
    """The first shipped version in force, and the second as a draft."""
    officer = process.officer()
    await officer.CreateNotice(drafting(shipped()))
    announcement = pb.AnnounceNoticeRequest(name="notices/1", request_id=str(uuid.uuid4()))
    await officer.AnnounceNotice(announcement)
    await officer.CreateNotice(drafting(read_folder(SHIPPED.parent / "2")))
