"""The public pages: the version in force, every version and every difference, in each language and form."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from idv.errors import IdvError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notice import atom, marking
from services.notice.catalogue import CatalogueItem
from services.notice.content import Version
from services.notice.languages import preferred
from services.notice.lifecycle import State
from services.notice.materiality import compare
from services.notice.page_words import PAGE_WORDS
from services.notice.publication import Publication
from services.notice.reviewing import Comparison
from services.notice.stream import TermsFeed
from services.notice.terms import Language
from services.notice.text import Text
from services.notice.versions import Shelf
from services.notice.views import Views
from services.notice.words import WORDS
from services.runtime.clock import Clock

MAX_AGE = 60
"""Seconds for which a page may be kept without asking again; less when anything is about to change."""

_FIRST_READING_SECONDS = 2.0
_RETRY_SECONDS = 5
_MAX_BODIES = 512
"""Pages kept rendered, of each replica; beyond it they are rendered again."""

_MEDIA = {
    "": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".json": "application/json",
    ".atom": "application/atom+xml; charset=utf-8",
}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NAME = re.compile(r"([1-9][0-9]{0,8})(?:\.\.([1-9][0-9]{0,8}))?(?:\.md|\.json)?")

Body = Callable[[Publication], Awaitable[str]]


class _NothingInForceError(Exception):
    """Raised where no version is in force, or the one that is has no text in the language."""


class _NoSuchVersionError(Exception):
    """Raised for a version that was never announced, or has no text in the language."""


class _WithdrawnError(Exception):
    """Raised for a version that was withdrawn."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


@dataclass(slots=True)
class _Standing:
    """What the pages say until the next change, with the bodies and entity tags rendered so far."""

    public: Publication
    bodies: dict[str, tuple[bytes, str]] = field(default_factory=dict)


class Pages:
    """Serves the versions as the feed knows them: each page is rendered once for each change."""

    def __init__(self, feed: TermsFeed, clock: Clock, items: Mapping[str, CatalogueItem]) -> None:
        self._feed = feed
        self._clock = clock
        self._views = Views(items)
        self._standing: _Standing | None = None

    def application(self) -> Starlette:
        """The pages as an ASGI application."""
        routes = [Route("/", self._choose)]
        for language in WORDS:
            routes.append(Route(f"/{language}/feed.atom", self._atom))
            for kind in ("", ".md", ".json"):
                routes += [
                    Route(f"/{language}{kind}", self._in_force),
                    Route(f"/{language}/versions{kind}", self._history),
                ]
            routes.append(Route(f"/{language}/versions/{{name}}", self._named))
        application = Starlette(routes=routes, exception_handlers={404: self._nowhere})
        application.router.redirect_slashes = False  # an address is right or it is not
        return application

    async def _choose(self, request: Request) -> Response:
        """Leads to the page in the language that the reader's browser asks for."""
        language = preferred(request.headers.get("accept-language", ""), tuple(WORDS))
        headers = {"Location": f"/{language}", "Vary": "Accept-Language", "Cache-Control": "no-cache"}
        return Response(status_code=302, headers=headers | _HEADERS)

    async def _in_force(self, request: Request) -> Response:
        language, path, kind = _parts(request)

        async def body(public: Publication) -> str:
            version = public.in_state(State.IN_FORCE)
            if version is None:
                raise _NothingInForceError
            return await self._shown(public, version, language, kind, path)

        return await self._answer(request, language, kind, body)

    async def _named(self, request: Request) -> Response:
        """A version or a difference, by its permanent address."""
        found = _NAME.fullmatch(request.path_params["name"])
        if found is None:
            return await self._nowhere(request, HTTPException(404))
        if found[2] is None:
            return await self._version(request, int(found[1]))
        return await self._difference(request, (int(found[1]), int(found[2])))

    async def _version(self, request: Request, number: int) -> Response:
        language, path, kind = _parts(request)

        async def body(public: Publication) -> str:
            return await self._shown(public, _known(public, number), language, kind, path)

        return await self._answer(request, language, kind, body)

    async def _history(self, request: Request) -> Response:
        language, path, kind = _parts(request)

        async def body(public: Publication) -> str:
            return self._views.history(public, language, kind, path)

        return await self._answer(request, language, kind, body)

    async def _difference(self, request: Request, numbers: tuple[int, int]) -> Response:
        language, path, kind = _parts(request)

        async def body(public: Publication) -> str:
            before, after = (_known(public, number) for number in numbers)
            old, new = [await self._feed.texts(number) for number in numbers]
            texts = await asyncio.to_thread(marking.compare, before, old, after, new)
            compared = Comparison(compare(before.terms, after.terms), texts)
            return self._views.difference(before, after, compared, language, kind, path)

        return await self._answer(request, language, kind, body)

    async def _atom(self, request: Request) -> Response:
        language = cast("Language", request.url.path.split("/")[1])

        async def body(public: Publication) -> str:
            return atom.feed(public, PAGE_WORDS[language].history, language)

        return await self._answer(request, language, ".atom", body)

    async def _shown(
        self, public: Publication, version: Version, language: Language, kind: str, path: str
    ) -> str:
        texts: dict[str, Text] = {text.language: text for text in await self._feed.texts(version.number)}
        if language not in texts:
            raise _NoSuchVersionError if path else _NothingInForceError
        return self._views.version(public, version, texts, language, kind, path)

    async def _answer(self, request: Request, language: Language, kind: str, make: Body) -> Response:
        try:
            async with asyncio.timeout(_FIRST_READING_SECONDS):
                standing = self._stand(await self._feed.current())
            body, tag = await _body(standing, request.url.path, make)
        except (TimeoutError, IdvError):
            return self._unknown(language)
        except _NothingInForceError:
            words = WORDS[language]
            return self._instead(language, 404, words.missing_title, words.missing_text)
        except _NoSuchVersionError:
            more = PAGE_WORDS[language]
            return self._instead(language, 404, more.unknown_title, more.unknown_text)
        except _WithdrawnError as withdrawn:
            more = PAGE_WORDS[language]
            title = more.withdrawn_title.format(number=withdrawn.number)
            return self._instead(language, 410, title, more.withdrawn_text)
        fresh = f"public, max-age={self._fresh_for(standing.public)}"
        headers = {"ETag": tag, "Cache-Control": fresh, **self._guard()}
        if _holds(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        headers["Content-Language"] = WORDS[language].locale
        return Response(body, media_type=_MEDIA[kind], headers=headers)

    async def _nowhere(self, request: Request, error: Exception) -> Response:
        return Response(
            "There is no such page. The notice in force is at /\n",
            status_code=404,
            media_type="text/plain",
            headers=self._guard(),
        )

    def _unknown(self, language: Language) -> Response:
        """The database is away, and what is asked for was never read from it."""
        words = WORDS[language]
        answer = self._instead(language, 503, words.away_title, words.away_text)
        answer.headers["Retry-After"] = str(_RETRY_SECONDS)
        return answer

    def _instead(self, language: Language, status: int, title: str, text: str) -> Response:
        headers = {"Cache-Control": "no-store", **self._guard()}
        body = self._views.instead(language, title, text)
        return Response(body, status_code=status, media_type=_MEDIA[""], headers=headers)

    def _guard(self) -> dict[str, str]:
        return {"Content-Security-Policy": self._views.policy, **_HEADERS}

    def _stand(self, shelf: Shelf) -> _Standing:
        now = self._clock.now()
        if self._standing is None or not self._standing.public.holds(shelf, now):
            self._standing = _Standing(Publication.of(shelf, now))
        return self._standing

    def _fresh_for(self, public: Publication) -> int:
        """Whole seconds for which the page cannot become another by what is known now."""
        if public.until is None:
            return MAX_AGE
        return min(MAX_AGE, int((public.until - self._clock.now()).total_seconds()))


async def _body(standing: _Standing, path: str, make: Body) -> tuple[bytes, str]:
    if path not in standing.bodies:
        body = (await make(standing.public)).encode()
        if len(standing.bodies) >= _MAX_BODIES:
            standing.bodies.clear()
        standing.bodies[path] = body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return standing.bodies[path]


def _known(public: Publication, number: int) -> Version:
    version = public.number(number)
    if version is None:
        raise _NoSuchVersionError
    if public.standing(version) is State.WITHDRAWN:
        raise _WithdrawnError(number)
    return version


def _parts(request: Request) -> tuple[Language, str, str]:
    """Language, the path below it without its ending, and the ending, of an address that a route matched."""
    path = request.url.path
    kind = next((kind for kind in (".md", ".json") if path.endswith(kind)), "")
    _, language, *rest = path.removesuffix(kind).split("/")
    return cast("Language", language), "".join(f"/{part}" for part in rest), kind


def _holds(header: str, tag: str) -> bool:
    """Whether If-None-Match names the tag, compared weakly as RFC 9110 section 13.1.2 says."""
    return header.strip() == "*" or tag in {part.strip().removeprefix("W/") for part in header.split(",")}
