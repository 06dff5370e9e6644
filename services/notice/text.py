"""The text of a version in one language: Markdown with a title, and nothing a public page must not carry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from services.notice.faults import Fault, refuse
from services.notice.terms import Language

MAX_BYTES = 128 * 1024
"""Twenty times what a long notice needs."""
MAX_LINES = 4000
MAX_BLOCK = 4000
"""Characters between two blank lines. Within a block, what a parser of Markdown takes grows with the square
of its length: half a minute for 128 KiB of brackets in one block, a second for as many in short ones.
"""
MAX_BARS = 20
"""Vertical bars in a line: a table is filled up to as many columns in each of its rows."""
MAX_TITLE = 120
ITEMS_MARK = "{{ items }}"
RETENTION_MARK = "{{ retention_days }}"

_MARK = re.compile(r"\{\{[^{}\n]{0,80}\}\}")
_SCHEMES = ("https://", "mailto:", "#")
# Control characters but tab and line feed, marks that turn or hide text, the byte order mark, lone
# surrogates.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it was written. Its marks stand for what the terms say, so that the two cannot contradict."""

    language: Language
    title: str
    """The first and only heading of the first level."""
    markdown: str


def markdown_parser() -> MarkdownIt:
    """CommonMark with tables; what looks like HTML stays text."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def text_file(language: str) -> str:
    """Name of a language's file in a version's folder."""
    return f"text.{language}.md"


def parse_text(language: Language, markdown: str) -> Text:
    """A text, checked.

    Refused: more than 128 KiB, blocks, lines or tables too large to be parsed quickly, nothing, no title or
    several, HTML, images, links that are not https, mailto
    or within the page, hidden characters and unknown marks. Raises InvalidNoticeError with every fault and
    its line.
    """
    file = text_file(language)
    # Sizes and characters first: a parser need not see what a reader must not, nor what would keep it busy.
    refuse(list(_unprintable(file, markdown)))
    refuse(list(_slow(file, markdown)))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    found = [*_headings(file, tokens), *_foreign(file, tokens), *_marks(file, markdown, tokens)]
    refuse(list(dict.fromkeys(found)))  # an opening and a closing tag are one fault of their line
    return Text(language, _title(tokens), markdown)


def _unprintable(file: str, markdown: str) -> Iterator[Fault]:
    if len(markdown.encode("utf-8", "replace")) > MAX_BYTES:
        yield Fault(file, None, "", f"Larger than {MAX_BYTES // 1024} KiB", "Shorten it")
        return
    if not markdown.strip():
        yield Fault(
            file, None, "", "The text is empty", "Write the notice in this language, or remove the file"
        )
        return
    for number, line in enumerate(markdown.split("\n"), start=1):
        if found := _HIDDEN.search(line.removesuffix("\r")):
            reason = f"Holds the hidden character U+{ord(found[0]):04X}"
            yield Fault(file, number, "", reason, "Remove it: readers must see all that stands here")


def _slow(file: str, markdown: str) -> Iterator[Fault]:
    """What would take a parser much longer than its size lets expect."""
    lines = markdown.split("\n")
    if len(lines) > MAX_LINES:
        yield Fault(file, MAX_LINES + 1, "", f"More than {MAX_LINES} lines", "Shorten it")
    size, start = 0, 1
    for number, line in enumerate(lines, start=1):
        if line.count("|") > MAX_BARS:
            reason = f"A line of more than {MAX_BARS} vertical bars"
            yield Fault(file, number, "", reason, "Make the table narrower")
        if not line.strip():
            size, start = 0, number + 1
            continue
        within = size <= MAX_BLOCK
        size += len(line)
        if within and size > MAX_BLOCK:
            reason = f"More than {MAX_BLOCK} characters without a blank line"
            yield Fault(file, start, "", reason, "Part it by blank lines")


def _line(token: Token) -> int | None:
    return None if token.map is None else token.map[0] + 1


def _title(tokens: list[Token]) -> str:
    return tokens[1].content.strip()


def _headings(file: str, tokens: list[Token]) -> Iterator[Fault]:
    """The text starts with its title and leaves no level out: a screen reader's outline is whole."""
    titles = [token for token in tokens if token.type == "heading_open" and token.tag == "h1"]
    if not tokens or tokens[0].type != "heading_open" or tokens[0].tag != "h1":
        yield Fault(
            file,
            1,
            "title",
            "The text does not start with its title",
            "Start with a line like: # Privacy notice",
        )
    elif not 0 < len(_title(tokens)) <= MAX_TITLE:
        yield Fault(file, 1, "title", f"The title has not 1 to {MAX_TITLE} characters", "Write a short title")
    for token in titles[1:]:
        yield Fault(file, _line(token), "title", "A second title", "Use ## for the sections below the title")
    level = 1
    for token in tokens:
        if token.type != "heading_open":
            continue
        if (depth := int(token.tag[1])) > level + 1:
            yield Fault(
                file,
                _line(token),
                "",
                f"A heading of level {depth} below one of {level}",
                "Leave no level out",
            )
        level = depth


def _foreign(file: str, tokens: list[Token]) -> Iterator[Fault]:
    """HTML, images and links that lead anywhere but to https, mail or this page."""
    line: int | None = None
    for token in tokens:
        line = _line(token) or line
        if token.type == "html_block":
            yield Fault(file, line, "", "Holds HTML", "Write it in Markdown, or escape the < as &lt;")
        for child in token.children or ():
            if child.type == "html_inline":
                yield Fault(file, line, "", "Holds HTML", "Write it in Markdown, or escape the < as &lt;")
            elif child.type == "image":
                yield Fault(file, line, "", "Holds an image", "Remove it: the page loads nothing")
            elif child.type == "link_open" and not str(child.attrGet("href") or "").lower().startswith(
                _SCHEMES
            ):
                yield Fault(
                    file, line, "", "Holds a link that is not https, mailto or #", "Correct its address"
                )


def _marks(file: str, markdown: str, tokens: list[Token]) -> Iterator[Fault]:
    """Marks are few, and the table's stands alone in its paragraph, once."""
    for number, content in enumerate(markdown.split("\n"), start=1):
        for mark in _MARK.findall(content):
            if mark not in (ITEMS_MARK, RETENTION_MARK):
                remedy = f"Use {ITEMS_MARK} or {RETENTION_MARK}"
                yield Fault(file, number, "", f"Unknown mark {mark[:40]}", remedy)
    inside = [token for token in tokens if token.type == "inline" and ITEMS_MARK in token.content]
    alone = [token for token in inside if token.content == ITEMS_MARK and token.level == 1]
    if markdown.count(ITEMS_MARK) != 1 or len(alone) != 1:
        line = _line(inside[-1]) if inside else None
        remedy = "Put it once, in a paragraph of its own, where the table of data items belongs"
        yield Fault(file, line, "", f"The mark {ITEMS_MARK} does not stand alone exactly once", remedy)
