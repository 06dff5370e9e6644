"""A comparison made ready for readers: clauses named, words marked, paragraphs that stayed cut out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from services.notice import differences
from services.notice.content import Version
from services.notice.differences import Kind, Part, TextDifference
from services.notice.materiality import Change
from services.notice.page_words import PAGE_WORDS, PageWords
from services.notice.reviewing import Comparison
from services.notice.terms import Language, Terms
from services.notice.text import ITEMS_MARK, RETENTION_MARK, Text

_BLOCK = re.compile(r"(\n{2,})")
# A line end inside of a paragraph, which a reader does not see; none before a list, table, heading or quote.
_WRAP = re.compile(r"(?<!\n)\n(?![ \t]*(?:[\n#>|]|[*+-] |\d+\. ))[ \t]*(?=\S)")
_SIGNS = re.compile(r"\*\*|^#+ ")

Paragraph = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Clause:
    """A change of the terms for a reader."""

    name: str
    """What the item is called; empty where the clause is of no item."""
    clause: str
    reason: str
    material: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A comparison for readers of one language."""

    changes: tuple[Clause, ...]
    paragraphs: tuple[Paragraph | None, ...]
    """None stands for paragraphs in which nothing changed. Empty where nothing changed at all."""


def shown(before: Version, after: Version, compared: Comparison, language: Language) -> Shown:
    """What a reader of this language sees of a comparison."""
    words = PAGE_WORDS[language]
    clauses = tuple(
        _clause(change, before.terms, after.terms, language, words) for change in compared.changes
    )
    text = next((text for text in compared.texts if text.language == language), None)
    return Shown(clauses, tuple(_cut(text)) if text and text.changed else ())


def readable(text: Text, terms: Terms) -> Text:
    """A text with its days in their place, a name where its table stands, and its paragraphs unwrapped."""
    table = f"[{PAGE_WORDS[text.language].table}]"
    markdown = text.markdown.replace(RETENTION_MARK, str(terms.retention_days)).replace(ITEMS_MARK, table)
    return replace(text, markdown=_WRAP.sub("" if text.language == "zh" else " ", markdown))


def without_signs(piece: str) -> str:
    """A piece without Markdown's signs of headings and strong words; one that is nothing else stays."""
    return _SIGNS.sub("", piece) or piece


def as_markdown(title: str, what: Shown, words: PageWords) -> str:
    """The difference as Markdown: removed words struck, added ones strong."""
    lines = [f"# {title}", "", f"## {words.terms_heading}", ""]
    lines += [f"- `{one.clause}`: {one.reason}{_mark(one, words)}" for one in what.changes] or [
        words.no_terms
    ]
    lines += ["", f"## {words.text_heading}", ""]
    for paragraph in what.paragraphs:
        said = "· · ·" if paragraph is None else "".join(_signed(part) for part in paragraph)
        lines += ["> " + line for line in said.split("\n")] + [""]
    return "\n".join(lines if what.paragraphs else [*lines, words.no_text, ""])


def as_json(before: int, after: int, what: Shown) -> dict[str, Any]:
    """The difference for machines."""
    return {
        "before": before,
        "after": after,
        "terms": [
            {"clause": one.clause, "reason": one.reason, "material": one.material} for one in what.changes
        ],
        "text": [
            None if paragraph is None else [[part.kind.name.lower(), part.text] for part in paragraph]
            for paragraph in what.paragraphs
        ],
    }


def _mark(one: Clause, words: PageWords) -> str:
    return f" (**{words.material}**)" if one.material else ""


def _signed(part: Part) -> str:
    signs = {Kind.KEPT: "", Kind.REMOVED: "~~", Kind.ADDED: "**"}[part.kind]
    return f"{signs}{part.text}{signs}"


def _clause(change: Change, before: Terms, after: Terms, language: Language, words: PageWords) -> Clause:
    code = re.sub(r"\.(?:optional|sources\.(?:customer|sdk))$", "", change.clause.removeprefix("items."))
    item = after.item(code) or before.item(code)
    name = item.name.get(language, "") if item and change.clause.startswith("items.") else ""
    return Clause(name, change.clause, words.reason(change), change.material)


def _cut(text: TextDifference) -> Iterator[Paragraph | None]:
    """Paragraphs that changed, and a gap where others stand between them."""
    gap = False
    for paragraph in _paragraphs(text):
        if all(part.kind is Kind.KEPT for part in paragraph):
            gap = True
            continue
        if gap:
            yield None
        gap = False
        yield paragraph
    if gap:
        yield None


def _paragraphs(text: TextDifference) -> Iterator[Paragraph]:
    """The parts, divided where a blank line stands in either text."""
    paragraph: list[Part] = []
    for part in text.parts:
        for piece in _BLOCK.split(part.text):
            if _BLOCK.fullmatch(piece):
                if paragraph:
                    yield tuple(paragraph)
                paragraph = []
            elif piece:
                paragraph.append(Part(part.kind, piece))
    if paragraph:
        yield tuple(paragraph)


def compare(
    before: Version, old: tuple[Text, ...], after: Version, new: tuple[Text, ...]
) -> tuple[TextDifference, ...]:
    """The texts of two versions compared as readers see them."""
    return differences.texts(
        (readable(text, before.terms) for text in old), (readable(text, after.terms) for text in new)
    )
