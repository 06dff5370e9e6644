"""History, permanent addresses, differences and the feed: what was once published stays where it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
import pytest
import pytest_asyncio

from services.local.databases import ServiceDatabase
from services.notice.folder import Sources, read_folder
from services.notice.reviewing import Question
from services.notice.rules import Declared, Wish
from tests.notice_parts import SHIPPED, call, pages, replica, shipped
from tests.service.test_notice_pages import Site
from tests.set_clock import START, SetClock

EFFECTIVE = START + timedelta(days=40)
ATOM = "{http://www.w3.org/2005/Atom}"


def reworded() -> Sources:
    """Version 1 with one word more in each language: only the text changes."""
    given = shipped()
    texts = {
        "en": given.texts["en"].replace("Data is not sold", "Data is never sold"),
        "zh": given.texts["zh"].replace("数据不会出售", "数据绝不会出售"),
    }
    return Sources(given.terms_yaml, texts)


@pytest_asyncio.fixture
async def site(service_database: ServiceDatabase) -> AsyncIterator[Site]:
    clock = SetClock()
    async with (
        replica(service_database, clock) as part,
        pages(part) as url,
        aiohttp.ClientSession() as session,
    ):
        await part.publish(shipped())
        version, _ = await part.versions.draft(reworded(), call())
        wish = Wish(Declared.IMMATERIAL, "wording only")
        await part.versions.announce(version.number, EFFECTIVE, call(), wish)
        await part.feed.refresh()
        yield Site(url, part, clock, session)


async def test_a_banner_tells_of_the_version_to_come_until_it_is_in_force(site: Site) -> None:
    for language, said in (("en", "It takes effect on 3 January 2027, 10:00 UTC"), ("zh", "新版本已经公布")):
        _, body = await site.get(f"/{language}")
        assert said in body
        assert f'href="/{language}/versions/1..2"' in body
    site.clock.time = EFFECTIVE
    _, body = await site.get("/en")
    assert "A new version" not in body
    assert "Data is never sold" in body


async def test_each_version_keeps_its_address_and_says_where_it_stands(site: Site) -> None:
    _, body = await site.get("/en/versions/2")
    assert "has been announced and is not in force yet" in body
    site.clock.time = EFFECTIVE + timedelta(days=1)
    first, body = await site.get("/en/versions/1")
    assert (first.status, "This is not the version in force." in body) == (200, True)
    assert "Data is not sold" in body
    _, markdown = await site.get("/zh/versions/1.md")
    assert "数据不会出售" in markdown
    _, content = await site.get("/en/versions/1.json")
    facts = json.loads(content)
    assert (facts["state"], facts["superseded_time"]) == ("SUPERSEDED", EFFECTIVE.isoformat())


async def test_the_history_lists_every_version_with_its_instants_and_what_it_changed(site: Site) -> None:
    _, body = await site.get("/en/versions")
    assert body.index("Version 2") < body.index("Version 1")
    assert 'href="/en/versions/1..2"' in body
    _, content = await site.get("/zh/versions.json")
    assert [one["version"] for one in json.loads(content)["versions"]] == [2, 1]
    _, markdown = await site.get("/zh/versions.md")
    assert markdown.startswith("# 全部版本\n")


@pytest.mark.parametrize(("language", "added"), [("en", "never"), ("zh", "绝")])
async def test_a_difference_marks_the_words_and_leaves_out_what_stayed(
    site: Site, language: str, added: str
) -> None:
    _, body = await site.get(f"/{language}/versions/1..2")
    assert f"<ins>{added}</ins>" in body
    assert body.count("<ins>") == 1
    assert "{{" not in body
    _, content = await site.get(f"/{language}/versions/1..2.json")
    parts = [part for paragraph in json.loads(content)["text"] if paragraph for part in paragraph]
    assert ["added", added] in parts
    _, markdown = await site.get(f"/{language}/versions/2..1.md")
    assert f"~~{added}~~" in markdown


async def test_the_shipped_amendment_is_one_item_and_a_paragraph(site: Site) -> None:
    second = read_folder(Path(SHIPPED).parent / "2")
    drafted, _ = await site.part.versions.draft(second, call())
    review = await site.part.versions.review(drafted.number, Question("officer"))
    assert [(change.clause, change.material) for change in review.changes] == [
        ("items.device.application.sdk_version", True)
    ]
    assert review.material
    assert {text.language for text in review.comparison.texts if text.changed} == {"en", "zh"}


async def test_a_withdrawn_version_is_gone_and_the_history_says_so(site: Site) -> None:
    await site.part.versions.withdraw(2, "unclear", call())
    await site.part.feed.refresh()
    answer, body = await site.get("/en/versions/2")
    assert (answer.status, "was withdrawn" in body) == (410, True)
    _, body = await site.get("/en/versions")
    assert "withdrawn" in body
    _, body = await site.get("/en")
    assert "A new version" not in body


async def test_the_feed_is_atom_with_ids_that_never_change(site: Site) -> None:
    answer, body = await site.get("/en/feed.atom")
    assert answer.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    root = ElementTree.fromstring(body)  # noqa: S314 - our own feed
    entries = root.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}title") for entry in entries] == ["Version 2", "Version 1"]
    ids = [entry.findtext(f"{ATOM}id") for entry in entries]
    assert all(str(each).startswith("urn:uuid:") for each in ids)
    site.clock.time = EFFECTIVE + timedelta(days=9)
    _, again = await site.get("/en/feed.atom")
    later = ElementTree.fromstring(again)  # noqa: S314
    assert [entry.findtext(f"{ATOM}id") for entry in later.findall(f"{ATOM}entry")] == ids


@pytest.mark.parametrize(
    "path",
    [
        *("/en/versions/0", "/en/versions/01", "/en/versions/-1", "/en/versions/1..", "/en/versions/1..2..3"),
        *(
            "/en/versions/" + "9" * 6000,
            "/en/versions/٣",
            "/en/versions/1.xml",
            "/fr/versions",
            "/en/versions/",
        ),
    ],
)
async def test_an_address_that_is_none_is_refused(site: Site, path: str) -> None:
    assert (await site.get(path))[0].status == 404


async def test_a_version_nobody_announced_is_not_told_from_one_that_is_not_there(site: Site) -> None:
    await site.part.versions.draft(shipped(), call())
    await site.part.feed.refresh()
    drafted, nothing = [await site.get(f"/en/versions/{number}") for number in (3, 4)]
    assert (drafted[0].status, drafted[1]) == (nothing[0].status, nothing[1]) == (404, nothing[1])


async def test_the_json_says_the_terms_in_the_words_of_the_dpv(site: Site) -> None:
    _, body = await site.get("/en.json")
    process = json.loads(body)["dpv"]
    assert process["@context"]["dpv"] == "https://w3id.org/dpv#"
    assert process["dpv:hasStorageCondition"]["dpv:hasDuration"]["dct:extent"] == "P30D"
    assert len(process["dpv:hasPersonalData"]) == 38
    assert {one["@id"] for one in process["dpv:hasPurpose"]} >= {"dpv:IdentityVerification"}
