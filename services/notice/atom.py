"""The versions as an Atom feed (RFC 4287), in each language."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from xml.etree import ElementTree

from services.notice.content import Version
from services.notice.lifecycle import State
from services.notice.page_words import PAGE_WORDS
from services.notice.publication import Publication
from services.notice.terms import Language
from services.notice.words import WORDS

_NAMESPACE = "http://www.w3.org/2005/Atom"
_IDS = uuid.UUID("6b0c8c52-0f57-4d0e-9d0b-1f5c3a6f8e11")
"""Ids of the feed and its entries are derived from it: the same wherever the pages are served from."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def feed(public: Publication, title: str, language: Language) -> str:
    """Every version that was ever announced; an entry is updated when its version is withdrawn."""
    ElementTree.register_namespace("", _NAMESPACE)
    words = PAGE_WORDS[language]
    root = ElementTree.Element(
        _tag("feed"), {"{http://www.w3.org/XML/1998/namespace}lang": WORDS[language].locale}
    )
    moments = [_moment(version) for version in public.versions]
    _text(root, "id", _id(f"feed/{language}"))
    _text(root, "title", title)
    _text(root, "updated", _instant(max(moments, default=_EPOCH)))
    _text(ElementTree.SubElement(root, _tag("author")), "name", title)
    _link(root, "self", f"/{language}/feed.atom", "application/atom+xml")
    _link(root, "alternate", f"/{language}/versions", "text/html")
    for version in public.versions:
        entry = ElementTree.SubElement(root, _tag("entry"))
        state = public.standing(version)
        start = public.start(version) or version.life.effective_time
        number = WORDS[language].version.format(number=version.number)
        said = f"{words.from_when} {WORDS[language].date(start)}" if start else ""
        _text(entry, "id", _id(f"version/{version.number}/{version.digest.hex()}/{language}"))
        _text(entry, "title", f"{number}: {words.withdrawn}" if state is State.WITHDRAWN else number)
        _text(entry, "published", _instant(version.life.announce_time or _EPOCH))
        _text(entry, "updated", _instant(_moment(version)))
        _text(entry, "summary", words.states[state] if state is State.WITHDRAWN else said)
        _link(entry, "alternate", f"/{language}/versions/{version.number}", "text/html")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _moment(version: Version) -> datetime:
    return version.life.withdraw_time or version.life.announce_time or _EPOCH


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _id(name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_IDS, name)}"


def _tag(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"


def _text(parent: ElementTree.Element, name: str, value: str) -> None:
    ElementTree.SubElement(parent, _tag(name)).text = value


def _link(parent: ElementTree.Element, relation: str, href: str, kind: str) -> None:
    ElementTree.SubElement(parent, _tag("link"), {"rel": relation, "href": href, "type": kind})
