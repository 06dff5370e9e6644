"""The public pages of the version in force: HTML, Markdown and JSON in each language, from memory."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from idv.errors import IdvError
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notice import lifecycle, render
from services.notice.catalogue import CatalogueItem
from services.notice.content import Version, published
from services.notice.languages import preferred
from services.notice.stream import TermsFeed
from services.notice.terms import Language
from services.notice.text import Text
from services.notice.versions import Shelf
from services.notice.words import WORDS
from services.runtime.clock import Clock

MAX_AGE = 60
"""Seconds for which a page may be kept without asking again; less when another version is about to begin."""

_FIRST_READING_SECONDS = 2.0
_RETRY_SECONDS = 5

_MEDIA = {"": "text/html; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".json": "application/json"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_POLICY = "default-src 'none'; {style}base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class _Edition:
    """The version in force, rendered as far as it was asked for."""

    version: Version
    texts: Mapping[str, Text]
    bodies: dict[tuple[str, str], tuple[bytes, str]] = field(default_factory=dict)
    """With their entity tags, by language and kind: at most a handful, and gone with the version."""


class Pages:
    """Serves the version in force as the feed knows it: rendered once for each version."""

    def __init__(self, feed: TermsFeed, clock: Clock, items: Mapping[str, CatalogueItem]) -> None:
        self._feed = feed
        self._clock = clock
        self._items = items
        self._edition: _Edition | None = None
        environment = Environment(
            loader=PackageLoader("services.notice", "page"), autoescape=True, undefined=StrictUndefined
        )
        environment.filters["breakable"] = render.breakable
        self._template = environment.get_template("notice.html.j2")
        self._none = environment.get_template("none.html.j2")
        # The one style sheet stands in the page, and the policy allows it by its hash: nothing else is ever
        # applied.
        style = environment.loader.get_source(environment, "notice.css")[0] if environment.loader else ""
        self._style = Markup(style)  # noqa: S704 - a file of this package
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._policy = _POLICY.format(style=f"style-src 'sha256-{digest}'; ")

    def application(self) -> Starlette:
        """The pages as an ASGI application."""
        kinds = [Route(f"/{language}{kind}", self._page) for language in WORDS for kind in _MEDIA]
        application = Starlette(
            routes=[Route("/", self._choose), *kinds], exception_handlers={404: self._nowhere}
        )
        application.router.redirect_slashes = False  # an address is right or it is not
        return application

    async def _choose(self, request: Request) -> Response:
        """Leads to the page in the language that the reader's browser asks for."""
        language = preferred(request.headers.get("accept-language", ""), tuple(WORDS))
        headers = {"Location": f"/{language}", "Vary": "Accept-Language", "Cache-Control": "no-cache"}
        return Response(status_code=302, headers=headers | _HEADERS)

    async def _page(self, request: Request) -> Response:
        name, dot, kind = request.url.path.lstrip("/").partition(".")
        language = cast("Language", name)
        try:
            async with asyncio.timeout(_FIRST_READING_SECONDS):
                shelf = Shelf((await self._feed.current()).versions, self._clock.now())
            edition = await self._in_force(shelf)
        except (TimeoutError, IdvError):
            return self._unknown(language)
        if edition is None or language not in edition.texts:
            return self._missing(language)
        body, tag = self._body(edition, language, dot + kind)
        headers = {"ETag": tag, "Cache-Control": f"public, max-age={_fresh_for(shelf)}", **self._guard()}
        if _holds(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        headers["Content-Language"] = WORDS[language].locale
        return Response(body, media_type=_MEDIA[dot + kind], headers=headers)

    async def _nowhere(self, request: Request, error: Exception) -> Response:
        return Response(
            "There is no such page. The notice in force is at /\n",
            status_code=404,
            media_type="text/plain",
            headers=self._guard(),
        )

    def _missing(self, language: Language) -> Response:
        words = WORDS[language]
        return self._instead(language, 404, words.missing_title, words.missing_text)

    def _unknown(self, language: Language) -> Response:
        """The database is away, and what is in force was never read from it."""
        words = WORDS[language]
        answer = self._instead(language, 503, words.away_title, words.away_text)
        answer.headers["Retry-After"] = str(_RETRY_SECONDS)
        return answer

    def _instead(self, language: Language, status: int, title: str, text: str) -> Response:
        body = self._none.render(words=WORDS[language], title=title, text=text, style=self._style)
        headers = {"Cache-Control": "no-store", **self._guard()}
        return Response(body, status_code=status, media_type=_MEDIA[""], headers=headers)

    def _guard(self) -> dict[str, str]:
        return {"Content-Security-Policy": self._policy, **_HEADERS}

    async def _in_force(self, shelf: Shelf) -> _Edition | None:
        version = shelf.in_force()
        if version is None:
            return None
        if self._edition is None or self._edition.version.number != version.number:
            texts = await self._feed.texts(version.number)
            self._edition = _Edition(version, {text.language: text for text in texts})
        return self._edition

    def _body(self, edition: _Edition, language: Language, kind: str) -> tuple[bytes, str]:
        key = (language, kind)
        if key not in edition.bodies:
            body = self._render(edition, language, kind).encode()
            edition.bodies[key] = body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return edition.bodies[key]

    def _render(self, edition: _Edition, language: Language, kind: str) -> str:
        version, text = edition.version, edition.texts[language]
        if kind == ".md":
            return render.as_markdown(text, version.terms, self._items)
        if kind == ".json":
            return _json(edition, text, render.as_markdown(text, version.terms, self._items))
        return self._template.render(
            words=WORDS[language],
            language=language,
            languages=[{"code": code, "words": WORDS[code]} for code in WORDS if code in edition.texts],
            page=render.as_html(text, version.terms),
            groups=render.groups(version.terms, self._items),
            version=version,
            style=self._style,
        )


def _json(edition: _Edition, text: Text, markdown: str) -> str:
    """The version for machines; `terms` and `texts` are what its digest is of."""
    version, life = edition.version, edition.version.life
    content: dict[str, Any] = {
        "version": version.number,
        "language": text.language,
        "title": text.title,
        "announce_time": _printed(life.announce_time),
        "in_force_time": _printed(life.start),
        "digest": version.digest.hex(),
        "markdown": markdown,
        **published(version.terms, edition.texts.values()),
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _printed(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _fresh_for(shelf: Shelf) -> int:
    """Whole seconds for which the page cannot become the wrong version by what is known now."""
    starts = [term.start for term in lifecycle.terms_of_force(shelf.lives) if term.start > shelf.at]
    return min([MAX_AGE, *(int((start - shelf.at).total_seconds()) for start in starts)])


def _holds(header: str, tag: str) -> bool:
    """Whether If-None-Match names the tag, compared weakly as RFC 9110 section 13.1.2 says."""
    return header.strip() == "*" or tag in {part.strip().removeprefix("W/") for part in header.split(",")}
