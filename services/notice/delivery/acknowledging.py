"""The page behind the link in the mail: a form that acknowledges a version. A GET acknowledges nothing.

Mail scanners and previews follow links; they do not press buttons. A link is of one Customer and version,
ends, and records each answer once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2, deliveries_pb2
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notice.delivery.acknowledgement_store import Acknowledgement
from services.notice.delivery.links import Acknowledged, Links
from services.notice.delivery.progress import Deliveries
from services.notice.languages import preferred
from services.notice.mail.composing import LANGUAGES
from services.notice.terms import Language
from services.runtime.clock import Clock

_MAX_FORM_BYTES = 1000
_KINDS = {
    "seen": customers_pb2.ACKNOWLEDGEMENT_KIND_SEEN,
    "accepted": customers_pb2.ACKNOWLEDGEMENT_KIND_ACCEPTED,
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Privacy notice, version {version}",
        "ask": "Tell us for your company, {customer}, that you have seen this version, or accept it.",
        "seen": "We have seen it",
        "accepted": "We have seen and accept it",
        "done": "Thank you: this is recorded for {customer}.",
        "before": "This was recorded for {customer} before, on {time} (UTC). Nothing was changed.",
        "expired": "This link has expired. Your privacy contact can acknowledge the version by the service.",
        "forged": "This is not a link that we made. Open the one in the mail, whole.",
        "kind": "The form was not filled in. Open the link again.",
        "away": "This cannot be recorded now. Please try again in a minute.",
    },
    "zh": {
        "title": "隐私声明第 {version} 版",
        "ask": "请代表贵方（{customer}）确认已阅读或接受该版本。",
        "seen": "我方已阅读",
        "accepted": "我方已阅读并接受",
        "done": "谢谢：已为 {customer} 记录。",
        "before": "{customer} 已于 {time}（UTC）记录，未作任何更改。",
        "expired": "该链接已过期。贵方隐私联系人可通过服务确认该版本。",
        "forged": "该链接并非由我方生成。请打开邮件中的完整链接。",
        "kind": "表单未填写。请重新打开链接。",
        "away": "目前无法记录，请稍后重试。",
    },
}


class AcknowledgePage:
    """Serves the links that mails carry."""

    def __init__(self, links: Links, deliveries: Deliveries, clock: Clock) -> None:
        self._links = links
        self._deliveries = deliveries
        self._clock = clock
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
        )
        self._template = environment.get_template("acknowledge.html.j2")

    def route(self) -> Route:
        """Where the page is served."""
        return Route("/acknowledge/{token}", self._page, methods=["GET", "POST"])

    async def _page(self, request: Request) -> Response:
        language = preferred(request.headers.get("accept-language", ""), LANGUAGES)
        of = self._links.acknowledged(request.path_params["token"])
        if of is None:
            return self._answer(language, 404, "forged", None)
        if self._clock.now() >= of.expire_time:
            return self._answer(language, 410, "expired", of)
        if request.method != "POST":
            return self._answer(language, 200, "ask", of)
        return await self._post(request, language, of)

    async def _post(self, request: Request, language: Language, of: Acknowledged) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_FORM_BYTES:
                return self._answer(language, 413, "kind", of)
        kind = _KINDS.get(parse_qs(body.decode("ascii", "replace")).get("kind", [""])[0])
        if kind is None:
            return self._answer(language, 400, "kind", of)
        channel = deliveries_pb2.ACKNOWLEDGEMENT_CHANNEL_LINK
        new = Acknowledgement(of.tenant, of.version, kind, channel, self._clock.now())
        try:
            first, is_new = await self._deliveries.acknowledge(new)
        except IdvError as error:
            gone = error.reason == Reason.ERROR_REASON_NOT_FOUND  # the version was withdrawn
            return self._answer(language, *((410, "expired") if gone else (503, "away")), of)
        if not is_new:
            return self._answer(language, 409, "before", of, time=f"{first:%Y-%m-%d %H:%M}")
        return self._answer(language, 200, "done", of)

    def _answer(
        self, language: Language, status: int, what: str, of: Acknowledged | None, time: str = ""
    ) -> Response:
        words = _WORDS[language]
        facts = {"version": of.version if of else "", "customer": of.tenant if of else "", "time": time}
        page = self._template.render(
            language={"en": "en", "zh": "zh-Hans"}[language],
            title=words["title"].format(**facts) if of else words["forged"],
            text=words[what].format(**facts),
            asks=what == "ask",
            seen=words["seen"],
            accepted=words["accepted"],
        )
        return Response(page, status_code=status, media_type="text/html; charset=utf-8", headers=_HEADERS)
