"""What changed in a text, word by word: pieces that were kept, taken out and put in, in the order of reading.

The kept and added pieces together are the later text, the kept and removed ones the earlier, to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum, auto
from itertools import groupby

from services.notice.terms import LANGUAGES, Language
from services.notice.text import Text

_WORDS_AT_ONCE = 4000
"""Comparing word by word takes the product of the lengths: what is longer is shown as replaced whole."""

# A word of letters and digits; one ideograph, as Chinese has no spaces; a run of spaces; any other sign.
_TOKEN = re.compile(r"[^\W_\u2e80-\u9fff\uf900-\ufaff]+|[^\S\n]+|\n|.", re.DOTALL)


class Kind(Enum):
    """What became of a piece."""

    KEPT = auto()
    REMOVED = auto()
    ADDED = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the text."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class TextDifference:
    """What changed in one language; a language that only one version has is wholly added or removed."""

    language: Language
    parts: tuple[Part, ...]

    @property
    def changed(self) -> bool:
        """Whether anything did."""
        return any(part.kind is not Kind.KEPT for part in self.parts)


def texts(before: Iterable[Text], after: Iterable[Text]) -> tuple[TextDifference, ...]:
    """The texts of two versions compared as they were written, by language."""
    old, new = ({text.language: text.markdown for text in side} for side in (before, after))
    return tuple(
        TextDifference(language, compare(old.get(language, ""), new.get(language, "")))
        for language in LANGUAGES
        if language in old or language in new
    )


def compare(before: str, after: str) -> tuple[Part, ...]:
    """Lines are matched first, then the words of the lines that differ."""
    pieces = _lines(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return tuple(
        Part(kind, "".join(part.text for part in parts))
        for kind, parts in groupby((part for part in pieces if part.text), key=lambda part: part.kind)
    )


def _lines(before: Sequence[str], after: Sequence[str]) -> Iterator[Part]:
    for kind, old, new in _matched(before, after):
        if kind == "equal":
            yield Part(Kind.KEPT, old)
        else:
            yield from _words(_TOKEN.findall(old), _TOKEN.findall(new))


def _words(before: Sequence[str], after: Sequence[str]) -> Iterator[Part]:
    if max(len(before), len(after)) > _WORDS_AT_ONCE:
        yield from (Part(Kind.REMOVED, "".join(before)), Part(Kind.ADDED, "".join(after)))
        return
    for kind, old, new in _matched(before, after):
        if kind == "equal":
            yield Part(Kind.KEPT, old)
        else:
            yield from (Part(Kind.REMOVED, old), Part(Kind.ADDED, new))


def _matched(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for kind, start, end, new_start, new_end in SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        yield kind, "".join(before[start:end]), "".join(after[new_start:new_end])
