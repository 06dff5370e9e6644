"""The officer's page, by mutual TLS: who did what to each version, what it changes, how the telling goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idv.errors import IdvError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notice import marking
from services.notice.content import Version
from services.notice.delivery.store import Audience, audience
from services.notice.marking import Shown
from services.notice.reviewing import Comparison, Question, Review
from services.notice.terms import Language
from services.notice.versions import Shelf, Transactions, Versions
from services.notice.views import Views
from services.notice.words import ENGLISH
from services.runtime.identity import CERTIFICATE_PROPERTY, Authenticator, Caller, CallerKind
from services.runtime.web_server import PEER

_OFFICER = "officer"
_ALL = 10_000
_LIVE_SECONDS = 5


class OfficerPages:
    """Pages for whoever shows a certificate of the officer; nobody else sees anything."""

    def __init__(self, versions: Versions, database: Transactions, views: Views, trust_domain: str) -> None:
        self._versions = versions
        self._database = database
        self._views = views
        self._authenticator = Authenticator(trust_domain, ())

    def application(self) -> Starlette:
        """The pages as an ASGI application."""
        routes = [Route("/", self._timeline), Route("/versions/{number}", self._version)]
        application = Starlette(routes=routes)
        application.router.redirect_slashes = False
        return application

    async def _timeline(self, request: Request) -> Response:
        if not self._officer(request):
            return self._refused()
        shelf = await self._versions.shelf()
        changes = await self._versions.changes(0, _ALL)
        rows = [
            {
                "version": version,
                "state": shelf.state(version).name.replace("_", " ").lower(),
                "changes": [one for one in changes if one.number == version.number],
                "audience": await self._audience(version),
            }
            for version in reversed(shelf.versions)
        ]
        return self._answer("officer", request, Shown((), ()), rows=rows, at=shelf.at)

    async def _version(self, request: Request) -> Response:
        caller = self._officer(request)
        if not caller:
            return self._refused()
        shelf = await self._versions.shelf()
        version = _numbered(shelf, request.path_params["number"])
        if version is None:
            return Response("There is no such version.\n", status_code=404, headers=self._headers())
        actor = f"{caller.name}/{caller.person}" if caller.person else caller.name
        review = await self._versions.review(version.number, Question(actor))
        language: Language = "zh" if request.query_params.get("language") == "zh" else "en"
        shown = await self._difference(shelf, version, review, language)
        values: dict[str, Any] = {
            "version": version,
            "state": shelf.state(version).name.replace("_", " ").lower(),
            "review": review,
            "audience": await self._audience(version),
            "live": "live" in request.query_params,
        }
        return self._answer("officer_version", request, shown, language, **values)

    async def _difference(self, shelf: Shelf, version: Version, review: Review, language: Language) -> Shown:
        """Against the version in force; of one that is or was, against the one before it."""
        number = review.previous
        if number is None or number == version.number:
            earlier = [one for one in shelf.versions if one.number < version.number and one.life.start]
            number = earlier[-1].number if earlier else None
        if number is None:
            return Shown((), ())
        before = shelf.number(number)
        terms = await self._versions.compare(before, version)
        old, new = [await self._versions.texts(each) for each in (number, version.number)]
        compared = Comparison(terms.changes, marking.compare(before, old, version, new))
        return marking.shown(before, version, compared, language)

    async def _audience(self, version: Version) -> Audience | None:
        async with self._database.transaction() as connection:
            return await audience(connection, version.number)

    def _officer(self, request: Request) -> Caller | None:
        uris = [uri.encode() for uri in request.scope.get(PEER, ())]
        peer = {CERTIFICATE_PROPERTY: [b"verified"], "peer_uri": uris}
        try:
            caller = self._authenticator.identify(peer, ())
        except IdvError:
            return None
        return caller if caller.kind is CallerKind.SERVICE and caller.name == _OFFICER else None

    def _refused(self) -> Response:
        text = "This page is the privacy officer's. Show a certificate of that role.\n"
        return Response(text, status_code=403, media_type="text/plain", headers=self._headers())

    def _answer(
        self, template: str, request: Request, shown: Shown, language: Language = "en", **values: Any
    ) -> Response:
        headers = self._headers()
        if "live" in request.query_params:  # asked for by its reader: no page turns over by itself
            headers["Refresh"] = str(_LIVE_SECONDS)
        body = self._views.marked(template, language, shown, date=ENGLISH.date, **values)
        return Response(body, media_type="text/html; charset=utf-8", headers=headers)

    def _headers(self) -> dict[str, str]:
        return {
            "Content-Security-Policy": self._views.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }


def _numbered(shelf: Shelf, name: str) -> Version | None:
    numbers: Mapping[str, Version] = {str(version.number): version for version in shelf.versions}
    return numbers.get(name)
