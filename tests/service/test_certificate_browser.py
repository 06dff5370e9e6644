"""The certificate in a real browser: it fits screen and paper, breaks no rule of axe and asks for nothing."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # ships no types
from idv import receipts
from playwright.async_api import Browser, Page, async_playwright

from services.cli.certificate import Language, certificate
from tests.unit.test_cli_certificate import REQUEST, written
from tests.unit.test_receipt_forgeries import KEY, SEEN_BY

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")

Scheme = Literal["light", "dark"]
LOOKS: list[tuple[int, Scheme]] = [(320, "light"), (320, "dark"), (1280, "dark")]


@pytest_asyncio.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        await started.close()


@pytest.fixture(params=list(Language), ids=lambda language: language.value)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The certificate of a deletion that a witness vouches for."""
    receipt = written(
        tmp_path,
        deletion="customers/acme/deletions/0198b7a0-5c1e-7d6a-9a63-1f0c2d3e4f50",
        request=receipts.commitment(REQUEST, {"subject": "user-17"}),
        session_count=1,
        receive_time="2026-11-24T10:00:00.000000Z",
        complete_time="2026-11-24T10:00:00.250000Z",
        final_time="2026-12-24T10:15:00.000000Z",
    )
    text = receipt.read_text()
    page = tmp_path / "certificate.html"
    proven = receipts.verify(text, KEY, witnesses=[SEEN_BY])
    page.write_text(certificate(text, proven, request.param), encoding="utf-8")
    return page


async def opened(
    browser: Browser, file: Path, width: int = 1280, scheme: str = "light"
) -> tuple[Page, list[str]]:
    """The page, and what went wrong or elsewhere while it loaded."""
    look: Literal["light", "dark"] = "dark" if scheme == "dark" else "light"
    page = await browser.new_page(viewport={"width": width, "height": 800}, color_scheme=look)
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("request", lambda asked: seen.append(asked.url) if asked.url != file.as_uri() else None)
    await page.goto(file.as_uri())
    return page, seen


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_it_fits_breaks_no_rule_of_axe_and_asks_for_nothing(
    browser: Browser, file: Path, width: int, scheme: Scheme
) -> None:
    page, seen = await opened(browser, file, width, scheme)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen == []
    results = await Axe().run(page)
    assert [violation["id"] for violation in results.response["violations"]] == []
    await page.close()


async def test_on_paper_it_is_black_on_white(browser: Browser, file: Path) -> None:
    page, _ = await opened(browser, file)
    await page.emulate_media(media="print")
    assert await page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    await page.close()
