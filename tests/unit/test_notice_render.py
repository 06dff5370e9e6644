"""A text becomes a page that runs, loads and reaches nothing, with its terms in their places."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notice.folder import parse
from services.notice.languages import preferred
from services.notice.render import as_html, as_markdown, groups
from services.notice.terms import parse_terms
from services.notice.text import Text
from services.notice.words import WORDS
from tests.notice_parts import ITEMS, TERMS, TEXT, shipped
from tests.set_clock import START

SMALL = parse_terms(TERMS, ITEMS)


class Seen(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def html(markdown: str) -> str:
    """The page's text, whatever an author wrote: what `parse_text` would refuse as well."""
    page = as_html(Text("en", "A notice", markdown), SMALL)
    return page.before + page.after


def test_the_retention_of_the_terms_stands_in_the_text() -> None:
    assert "We keep data for 30 days." in html(TEXT)
    assert "We keep data for 30 days." in as_markdown(Text("en", "A notice", TEXT), SMALL, ITEMS)


def test_the_table_stands_where_its_mark_was() -> None:
    page = as_html(Text("en", "A notice", "# A notice\n\nBefore.\n\n{{ items }}\n\nAfter.\n"), SMALL)
    assert (page.before.strip(), page.after.strip()) == ("<p>Before.</p>", "<p>After.</p>")


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](data:text/html;base64,eA==)",
        "[a](http://example.com/)",
        '[a](https://example.com/ "x\' onmouseover=alert(1)")',
        "![a](https://example.com/pixel.png)",
        "<style>@import url(https://example.com)</style>",
        '<https://example.com/"onclick=alert(1)>',
        "<svg/onload=alert(1)>",
        "`<script>`",
    ],
)
def test_hostile_text_becomes_harmless_even_unchecked(hostile: str) -> None:
    seen = Seen()
    seen.feed(html(f"# A notice\n\n{hostile}\n\n{{{{ items }}}}\n"))
    assert seen.tags <= {"p", "a", "code"}
    assert {name for name, _ in seen.attributes} <= {"href", "rel"}
    assert all(str(value).startswith("https://") for name, value in seen.attributes if name == "href")


@given(st.text(alphabet="<>[]()!`*_#\"'&;:/= \nscriptjavaonload", max_size=200))
def test_no_text_makes_a_tag_that_is_not_allowed(text: str) -> None:
    seen = Seen()
    seen.feed(html(f"# A notice\n\n{text}"))
    assert not seen.tags & {"script", "img", "style", "iframe", "svg", "object", "link"}
    assert {name for name, _ in seen.attributes} <= {"href", "rel", "id", "start"}


def test_sections_are_listed_by_their_words() -> None:
    page = as_html(Text("en", "A notice", "# A notice\n\n## The *user's* `data`\n\n## More\n"), SMALL)
    assert [(section.id, section.title) for section in page.sections] == [
        ("s1", "The user’s data"),
        ("s2", "More"),
    ]
    assert '<h2 id="s1">' in page.before


def test_chinese_lines_are_joined_without_a_space() -> None:
    page = as_html(Text("zh", "声明", "# 声明\n\n第一行，\n第二行。\n"), SMALL)
    assert "第一行，第二行。" in page.before


def test_items_are_grouped_by_category_and_an_unknown_one_stands_alone() -> None:
    assert [group.category for group in groups(SMALL, ITEMS)] == ["log", "device.network"]
    assert [group.category for group in groups(SMALL, {})] == ["log.events", "device.network.dns_ip"]


def test_the_markdown_lists_every_item_with_source_retention_and_whether_it_is_optional() -> None:
    draft = parse(shipped(), ITEMS)
    for text in draft.texts:
        markdown, words = as_markdown(text, draft.terms, ITEMS), WORDS[text.language]
        assert "{{" not in markdown
        assert markdown.count(f"*({words.optional})*") == 4
        for item in draft.terms.items:
            name = item.name[text.language].replace("(", r"\(").replace(")", r"\)")
            assert f"| {name}" in markdown


def test_a_name_cannot_leave_its_cell() -> None:
    terms = parse_terms(TERMS.replace("    sources", '    name: {en: "a | b *c*"}\n    sources', 1), ITEMS)
    assert r"| a \| b \*c\* |" in as_markdown(Text("en", "A notice", TEXT), terms, ITEMS)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en;q=0.5, zh-Hant-TW;q=0.7", "zh"),
        ("fr, de", "en"),
        ("zh;q=0", "en"),
        ("zh;q=x, en;q=0.1", "en"),
        ("zh" * 5000, "en"),
        (";;;,,,", "en"),
    ],
)
def test_the_reader_gets_the_language_that_was_asked_for_most(header: str, language: str) -> None:
    assert preferred(header, ("en", "zh")) == language


def test_dates_are_printed_with_their_zone() -> None:
    assert WORDS["en"].date(START) == "24 November 2026, 10:00 UTC"
    assert WORDS["zh"].date(START) == "2026 年 11 月 24 日 10:00 UTC"


def test_every_category_of_the_catalogue_has_words_in_every_language() -> None:
    for words in WORDS.values():
        assert set(words.categories) == {item.category for item in ITEMS.values()}
