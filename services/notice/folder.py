"""A version from its folder: `terms.yaml`, `text.en.md` and a text for each further language."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from services.notice import text as texts
from services.notice.catalogue import CatalogueItem
from services.notice.faults import Fault, InvalidNoticeError, refuse
from services.notice.terms import LANGUAGES, TERMS_FILE, Language, Terms, parse_terms
from services.notice.text import Text, parse_text, text_file

MAX_TERMS_BYTES = 128 * 1024
MAX_FILES = 32
REQUIRED: Language = "en"


@dataclass(frozen=True, slots=True)
class Sources:
    """What an author wrote, unchecked: as read from a folder, or as received in a call."""

    terms_yaml: str
    texts: Mapping[str, str]
    """Markdown by language."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A version's content, checked."""

    terms_yaml: str
    terms: Terms
    texts: tuple[Text, ...]
    """One per language, English first."""

    def text(self, language: Language) -> Text | None:
        """The text in a language, if the version has it."""
        return next((text for text in self.texts if text.language == language), None)


def read_folder(folder: Path) -> Sources:
    """What a folder holds.

    Only regular files of the known names are read, each up to its limit; names that start with a dot are
    left alone. Raises InvalidNoticeError with every fault: unknown or missing files, links, too large, not
    UTF-8.
    """
    known = {TERMS_FILE: MAX_TERMS_BYTES} | {text_file(language): texts.MAX_BYTES for language in LANGUAGES}
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        raise InvalidNoticeError(
            [_fault(folder.name, "Is no folder that can be read", "Name a version's folder")]
        ) from None
    if len(entries) > MAX_FILES:
        raise InvalidNoticeError(
            [_fault(folder.name, f"Holds more than {MAX_FILES} files", "Name a version's folder")]
        )
    faults: list[Fault] = []
    contents: dict[str, str] = {}
    for path in entries:
        try:
            contents[path.name] = _read(path, known)
        except InvalidNoticeError as error:
            faults += error.faults
    present = {path.name for path in entries}
    faults += [_missing(name) for name in (TERMS_FILE, text_file(REQUIRED)) if name not in present]
    refuse(faults)
    return Sources(
        contents.pop(TERMS_FILE), {name.split(".")[1]: content for name, content in contents.items()}
    )


def parse(sources: Sources, items: Mapping[str, CatalogueItem]) -> Draft:
    """A version's content, checked against the item catalogue.

    Raises InvalidNoticeError with the faults of all files at once.
    """
    faults: list[Fault] = []
    parsed: list[Text] = []
    terms = None
    try:
        refuse(list(_oversize(sources.terms_yaml)))
        terms = parse_terms(sources.terms_yaml, items)
    except InvalidNoticeError as error:
        faults += error.faults
    faults += _languages(sources.texts)
    for language in LANGUAGES:
        try:
            parsed += [parse_text(language, sources.texts[language])] if language in sources.texts else []
        except InvalidNoticeError as error:
            faults += error.faults
    if faults or terms is None:
        raise InvalidNoticeError(faults)
    return Draft(sources.terms_yaml, terms, tuple(parsed))


def _read(path: Path, known: Mapping[str, int]) -> str:
    limit = known.get(path.name)
    if limit is None:
        expected = ", ".join(known)
        raise InvalidNoticeError(
            [_fault(path.name[:80], "Is no file of a version", f"Remove it; known are {expected}")]
        )
    if not stat.S_ISREG(path.lstat().st_mode):
        raise InvalidNoticeError([_fault(path.name, "Is not a regular file", "Put the file itself here")])
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InvalidNoticeError([_too_large(path.name, limit)])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidNoticeError([Fault(path.name, line, "", "Is not UTF-8", "Save it as UTF-8")]) from None


def _oversize(terms_yaml: str) -> Iterator[Fault]:
    if len(terms_yaml.encode("utf-8", "replace")) > MAX_TERMS_BYTES:
        yield _too_large(TERMS_FILE, MAX_TERMS_BYTES)


def _languages(given: Iterable[str]) -> Iterator[Fault]:
    languages = cast("Iterable[str]", LANGUAGES)
    for language in given:
        if language not in languages:
            shipped = ", ".join(languages)
            name = text_file(language[:35])
            yield _fault(name, "The pages are not shipped in this language", f"Use one of: {shipped}")
    if REQUIRED not in given:
        yield _missing(text_file(REQUIRED))


def _missing(name: str) -> Fault:
    return _fault(name, "Is missing", "Add it: docs/notices.md shows the form")


def _too_large(name: str, limit: int) -> Fault:
    return _fault(name, f"Larger than {limit // 1024} KiB", "Shorten it")


def _fault(file: str, reason: str, remedy: str) -> Fault:
    return Fault(file, None, "", reason, remedy)
