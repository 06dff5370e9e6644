"""The public page in a real browser: phone and desk, light and dark, by keyboard, without script."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # ships no types
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from services.local.databases import ServiceDatabase
from services.notice.folder import read_folder
from tests.notice_parts import SHIPPED, Replica, call, pages, replica, shipped
from tests.set_clock import START

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")

Scheme = Literal["light", "dark"]
LOOKS: list[tuple[int, Scheme]] = [
    (320, "light"),
    (320, "dark"),
    (768, "light"),
    (1280, "dark"),
    (1920, "light"),
]
PATHS = ("", "/versions", "/versions/2", "/versions/1..2")


@pytest_asyncio.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        await started.close()


@pytest_asyncio.fixture
async def url(service_database: ServiceDatabase) -> AsyncIterator[str]:
    async with replica(service_database) as part, pages(part) as address:
        await part.publish(shipped())
        await announce_amendment(part)
        await part.feed.refresh()
        yield address


async def announce_amendment(part: Replica) -> None:
    """The shipped second version, to take effect weeks from now."""
    amended, _ = await part.versions.draft(read_folder(SHIPPED.parent / "2"), call())
    await part.versions.announce(amended.number, START + timedelta(days=40), call())


@asynccontextmanager
async def visit(browser: Browser, address: str, **options: Any) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page, and what went wrong or elsewhere while it loaded."""
    context: BrowserContext = await browser.new_context(**options)
    page = await context.new_page()
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda request: seen.append(request.url) if request.url != address else None)
    await page.goto(address)
    try:
        yield page, seen
    finally:
        await context.close()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_the_pages_fit_break_no_rule_of_axe_and_ask_for_nothing(
    browser: Browser, url: str, language: str, width: int, scheme: Scheme
) -> None:
    viewport = {"width": width, "height": 800}
    for path in PATHS:
        address = f"{url}/{language}{path}"
        async with visit(browser, address, viewport=viewport, color_scheme=scheme) as (page, seen):
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert seen == []
            results = await Axe().run(page)
            assert [violation["id"] for violation in results.response["violations"]] == []
            paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(int(part) for part in paper[4:-1].split(",")) > 384) is (scheme == "light")


async def test_on_paper_the_notice_is_black_on_white_without_its_navigation(
    browser: Browser, url: str
) -> None:
    async with visit(browser, f"{url}/en", color_scheme="dark") as (page, _):
        await page.emulate_media(media="print")
        assert await page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert not await page.get_by_role("navigation").first.is_visible()


async def test_the_keyboard_reaches_the_text_first_and_sees_where_it_is(browser: Browser, url: str) -> None:
    async with visit(browser, f"{url}/en") as (page, _):
        await page.keyboard.press("Tab")
        focus = "document.activeElement"
        assert await page.evaluate(f"{focus}.className") == "skip"
        assert await page.evaluate(f"{focus}.getBoundingClientRect().top >= 0")
        await page.keyboard.press("Enter")
        assert await page.evaluate(f"{focus}.id") == "notice"


async def test_the_page_is_whole_without_script(browser: Browser, url: str) -> None:
    async with visit(browser, f"{url}/en", java_script_enabled=False) as (page, _):
        assert await page.get_by_role("row").count() == 38 + 8 + 1
        await page.get_by_role("link", name="How long it is kept").click()
        assert page.url.endswith("#s5")
        await page.get_by_role("link", name="中文").click()
        assert await page.get_by_role("heading", level=1).inner_text() == "身份验证服务隐私声明"


async def test_what_an_outsider_injects_is_neither_run_nor_loaded(browser: Browser, url: str) -> None:
    async with visit(browser, f"{url}/en") as (page, seen):
        await page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<img src=/pixel><p style=color:red id=x>x</p>')"
        )
        assert await page.evaluate("getComputedStyle(document.getElementById('x')).color") != "rgb(255, 0, 0)"
        assert all("Content Security Policy" in message for message in seen if "pixel" not in message)
