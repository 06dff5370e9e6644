"""Reads the project's documents: their fenced blocks, links, tests named and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("protos/*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/decisions/*.md"),
    ]
)
"""Every document that people read."""

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_TEST = re.compile(r"tests/[\w/]+\.py::\w+")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [match[3] for match in _FENCE.finditer(page.read_text()) if match[2] == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links that stay within the repository."""
    for target in _LINK.findall(re.sub(r"`[^`\n]*`", "code", prose(page))):
        if not re.match(r"[a-z]+:", target):
            yield target


def tests_named(page: Path) -> list[str]:
    """The tests that a page names, as `path::name`."""
    return _TEST.findall(page.read_text())


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(page: Path) -> Iterator[list[str]]:
    """Each table of a page, as its lines."""
    for match in re.finditer(r"(?:^\|.*\n)+", prose(page) + "\n", re.MULTILINE):
        yield match[0].splitlines()


def width(row: str) -> int:
    """How many cells a row has; a bar in code or after a backslash ends none."""
    return re.sub(r"`[^`]*`|\\\|", "", row).count("|") - 1
