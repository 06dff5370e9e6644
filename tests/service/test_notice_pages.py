"""The public pages over HTTP: the version in force, in each language and form, reaching nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from idv.errors import IdvError

from services.local.databases import ServiceDatabase
from services.notice.terms import Language
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.notice_parts import Replica, narrower, pages, replica, shipped
from tests.set_clock import START, SetClock


class Site:
    """A browser's side of the pages."""

    def __init__(self, url: str, part: Replica, clock: SetClock, session: aiohttp.ClientSession) -> None:
        self.url, self.part, self.clock, self._session = url, part, clock, session

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[aiohttp.ClientResponse, str]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(
            method, self.url + path, headers=names, allow_redirects=False
        ) as answer:
            return answer, await answer.text()


@pytest_asyncio.fixture
async def site(service_database: ServiceDatabase) -> AsyncIterator[Site]:
    clock = SetClock()
    async with (
        replica(service_database, clock) as part,
        pages(part) as url,
        aiohttp.ClientSession() as session,
    ):
        await part.publish(shipped())
        await part.feed.refresh()
        yield Site(url, part, clock, session)


@pytest.mark.parametrize(
    ("language", "lang", "title"),
    [("en", "en", "ID Verification Privacy Notice"), ("zh", "zh-Hans", "身份验证服务隐私声明")],
)
async def test_the_page_shows_the_notice_and_its_table(
    site: Site, language: Language, lang: str, title: str
) -> None:
    answer, body = await site.get(f"/{language}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'<html lang="{lang}">' in body
    assert f"<h1>{title}</h1>" in body
    assert "{{" not in body
    plain = body.replace("<wbr>", "")
    for item in (await site.part.versions.shelf()).number(1).terms.items:
        assert f"<code>{item.code}</code>" in plain
        assert item.name[language].replace("'", "&#39;") in body
    assert body.count('scope="row"') == 38


async def test_the_policy_allows_the_pages_style_by_its_hash_and_nothing_else(site: Site) -> None:
    answer, body = await site.get("/en")
    (style,) = re.findall(r"<style>(.*?)</style>", body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    directives = answer.headers["Content-Security-Policy"].split("; ")
    denied = ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    assert directives == ["default-src 'none'", f"style-src 'sha256-{digest}'", *denied]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "server" not in answer.headers
    assert not re.search(r"<script|<img|<iframe|<link[^>]+stylesheet|\son\w+=|style=", body)
    assert "http" not in re.sub(r"\s+", " ", style)


async def test_the_first_page_leads_to_the_readers_language(site: Site) -> None:
    for header, path in (("zh-CN,zh;q=0.9", "/zh"), ("de", "/en"), ("", "/en")):
        answer, _ = await site.get("/", Accept_Language=header)
        assert (answer.status, answer.headers["Location"]) == (302, path)
        assert answer.headers["Vary"] == "Accept-Language"


async def test_markdown_and_json_say_the_same(site: Site) -> None:
    answer, markdown = await site.get("/en.md")
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    answer, body = await site.get("/en.json")
    assert answer.headers["Content-Type"] == "application/json"
    content = json.loads(body)
    assert content["markdown"] == markdown
    assert (content["version"], content["language"]) == (1, "en")
    assert content["in_force_time"] == START.isoformat()
    assert content["terms"]["retention_days"] == 30
    assert content["digest"] == (await site.part.versions.shelf()).number(1).digest.hex()


async def test_anyone_can_compute_the_digest_that_the_log_holds(site: Site) -> None:
    _, body = await site.get("/zh.json")
    content = json.loads(body)
    digested = {"terms": content["terms"], "texts": content["texts"]}
    canonical = json.dumps(digested, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode()).hexdigest() == content["digest"]
    assert content["digest"] == (await site.part.versions.shelf()).number(1).digest.hex()


async def test_a_page_that_did_not_change_is_not_sent_again(site: Site) -> None:
    first, _ = await site.get("/en")
    tag = first.headers["ETag"]
    for header in (tag, f'"x", W/{tag}', "*"):
        answer, body = await site.get("/en", If_None_Match=header)
        assert (answer.status, body, answer.headers["ETag"]) == (304, "", tag)
    for path, header in (("/en", '"x"'), ("/zh", tag), ("/en.md", tag)):
        answer, _ = await site.get(path, If_None_Match=header)
        assert answer.status == 200


async def test_head_is_answered_without_a_body(site: Site) -> None:
    answer, body = await site.get("/en", method="HEAD")
    assert (answer.status, body) == (200, "")
    assert int(answer.headers["Content-Length"]) > 10_000


async def test_no_cache_keeps_a_page_into_the_life_of_the_next_version(site: Site) -> None:
    answer, _ = await site.get("/en")
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    effective = START + timedelta(hours=1)
    await site.part.publish(narrower(), effective)
    await site.part.feed.refresh()
    site.clock.time = effective - timedelta(seconds=10.5)
    answer, _ = await site.get("/en")
    assert answer.headers["Cache-Control"] == "public, max-age=10"


async def test_the_next_version_is_shown_from_its_very_instant(site: Site) -> None:
    effective = START + timedelta(hours=1)
    await site.part.publish(narrower(), effective)
    await site.part.feed.refresh()
    site.clock.time = effective - timedelta(microseconds=1)
    _, body = await site.get("/en")
    assert "ID Verification Privacy Notice" in body
    site.clock.time = effective
    first, body = await site.get("/en")
    assert "<h1>A notice</h1>" in body
    assert first.headers["ETag"] != (await site.get("/en.md"))[0].headers["ETag"]
    answer, body = await site.get("/zh")
    assert answer.status == 404  # this version is not written in Chinese
    assert "hreflang" not in body


async def test_what_is_not_there_is_said_plainly_and_as_strictly(site: Site) -> None:
    for path in ("/fr", "/en.xml", "/../../etc/passwd", "/en/", "/%00", "/en%0d%0aX: y"):
        answer, body = await site.get(path)
        assert answer.status == 404
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert body == "There is no such page. The notice in force is at /\n"
    answer, _ = await site.get("/en", method="POST")
    assert answer.status == 405


async def test_before_any_version_the_page_says_so_and_is_not_kept(service_database: ServiceDatabase) -> None:
    async with (
        replica(service_database) as part,
        pages(part) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/zh") as answer,
    ):
        assert answer.status == 404
        assert answer.headers["Cache-Control"] == "no-store"
        assert "尚无生效的声明" in await answer.text()


async def test_pages_are_served_from_memory_while_the_database_is_away(
    site: Site, service_database: ServiceDatabase
) -> None:
    before, _ = await site.get("/en")
    await take_away(service_database)
    with pytest.raises(IdvError):
        await site.part.versions.revision()
    answer, _ = await site.get("/en")
    assert (answer.status, answer.headers["ETag"]) == (200, before.headers["ETag"])


async def test_a_replica_that_nobody_asked_before_serves_the_page_and_the_next_version_without_database(
    site: Site, service_database: ServiceDatabase
) -> None:
    effective = START + timedelta(hours=1)
    await site.part.publish(narrower(), effective)
    await site.part.feed.refresh()
    await take_away(service_database)
    for path, part_of_it in (("/en", "ID Verification Privacy Notice"), ("/zh.md", "身份验证服务隐私声明")):
        answer, body = await site.get(path)
        assert answer.status == 200
        assert part_of_it in body
    site.clock.time = effective
    answer, body = await site.get("/en")
    assert answer.status == 200
    assert "<h1>A notice</h1>" in body


async def test_where_nothing_is_known_yet_the_page_says_when_to_come_back(
    service_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notice.pages._FIRST_READING_SECONDS", 0.01)
    part = Replica(Database.open(DatabaseSettings(dsn=service_database.dsn)), SetClock())
    async with pages(part) as url, aiohttp.ClientSession() as session:
        for path, said in (("/en", "cannot be shown"), ("/zh", "暂时无法显示"), ("/en.json", "cannot be")):
            async with session.get(url + path) as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert answer.headers["Cache-Control"] == "no-store"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert said in await answer.text()
    await part.database.close()


async def take_away(database: ServiceDatabase) -> None:
    """Ends every connection to the database, and lets nobody connect again."""
    admin = await asyncpg.connect(database.admin_dsn)
    try:
        await admin.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await admin.close()
