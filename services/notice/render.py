"""A version's text with its terms in it: as Markdown, and as HTML that runs, loads and reaches nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise

import nh3
from markdown_it.token import Token
from markupsafe import Markup, escape

from services.notice.catalogue import CatalogueItem
from services.notice.terms import Language, Terms, TermsItem
from services.notice.text import ITEMS_MARK, RETENTION_MARK, Text, markdown_parser
from services.notice.words import WORDS

_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "a", "strong", "em", "code", "pre", "blockquote", "hr", "br"),
    *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "h2": {"id"}, "ol": {"start"}}
_SCHEMES = {"https", "mailto"}
_LINK_REL = "noopener noreferrer"
_MARK_PARAGRAPH = f"<p>{ITEMS_MARK}</p>"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the second level, for the table of contents."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text ready for a page, without its title, in two halves: the table of items stands between them."""

    title: str
    sections: tuple[Section, ...]
    before: Markup
    after: Markup


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of the table that lie in one category."""

    category: str
    items: tuple[TermsItem, ...]


def groups(terms: Terms, items: Mapping[str, CatalogueItem]) -> tuple[Group, ...]:
    """The items of the terms, in their order, by category.

    An item of an old version that the catalogue no longer has stands in a group named by its code.
    """

    def category(item: TermsItem) -> str:
        known = items.get(item.code)
        return known.category if known else item.code

    return tuple(Group(name, tuple(inside)) for name, inside in groupby(terms.items, key=category))


def as_markdown(text: Text, terms: Terms, items: Mapping[str, CatalogueItem]) -> str:
    """The text as Markdown, with the table of items and the retention in their places."""
    words = WORDS[text.language]
    rows = [f"| {words.item} | {words.source} | {words.kept} |", "|---|---|---|"]
    for group in groups(terms, items):
        rows.append(f"| **{_cell(words.category(group.category))}** | | |")
        rows += [_row(item, terms, text.language) for item in group.items]
    return _with_retention(text, terms).replace(ITEMS_MARK, "\n".join(rows))


def as_html(text: Text, terms: Terms) -> Rendered:
    """The text as HTML of few tags; links lead to https, mail and this page; nothing is loaded."""
    parser = markdown_parser()
    if text.language == "en":
        parser.options["typographer"] = True
        parser.enable("smartquotes")
    tokens = parser.parse(_with_retention(text, terms))[3:]  # the page sets the title itself
    if text.language == "zh":
        _join_lines(tokens)
    sections: list[Section] = []
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag == "h2":
            sections.append(Section(f"s{len(sections) + 1}", _plain(inline)))
            heading.attrSet("id", sections[-1].id)
    html = parser.renderer.render(tokens, parser.options, {})
    clean = nh3.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel=_LINK_REL)
    before, _, after = clean.partition(_MARK_PARAGRAPH)
    halves = (Markup(before), Markup(after))  # noqa: S704 - cleaned just now
    return Rendered(text.title, tuple(sections), *halves)


def _join_lines(tokens: list[Token]) -> None:
    """Takes the space out of line ends: Chinese is written without."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type, child.content = "text", ""


def breakable(code: str) -> Markup:
    """An item's code that may break after a dot and before an underscore, for narrow screens."""
    return escape(code).replace(".", Markup(".<wbr>")).replace("_", Markup("<wbr>_"))


def _with_retention(text: Text, terms: Terms) -> str:
    return text.markdown.replace(RETENTION_MARK, str(terms.retention_days))


def _plain(inline: Token) -> str:
    """A heading's words without its Markdown: what an outline shows."""
    return "".join(
        child.content for child in inline.children or () if child.type in ("text", "code_inline")
    ).strip()


def _row(item: TermsItem, terms: Terms, language: Language) -> str:
    words = WORDS[language]
    name = _cell(item.name.get(language, item.code)) + (f" *({words.optional})*" if item.optional else "")
    sources = ", ".join(words.sources[source] for source in item.sources)
    return f"| {name} | {sources} | {words.days.format(days=terms.retention_days)} |"


def _cell(value: str) -> str:
    """A value as the cell of a Markdown table."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~-])", r"\\\1", value)
