"""What the public pages say: each as HTML, as Markdown and as JSON, in each language."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from services.notice import dpv, marking, render
from services.notice.catalogue import CatalogueItem
from services.notice.content import Version, published
from services.notice.lifecycle import State
from services.notice.marking import Shown
from services.notice.page_words import PAGE_WORDS
from services.notice.publication import Publication
from services.notice.reviewing import Comparison
from services.notice.terms import Language
from services.notice.text import Text
from services.notice.words import WORDS

_POLICY = "default-src 'none'; {style}base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Views:
    """Renders pages; knows no request and no database."""

    def __init__(self, items: Mapping[str, CatalogueItem]) -> None:
        self._items = items
        self.environment = Environment(
            loader=PackageLoader("services.notice", "page"), autoescape=True, undefined=StrictUndefined
        )
        self.environment.filters["breakable"] = render.breakable
        self.environment.filters["without_signs"] = marking.without_signs
        # The one style sheet stands in the page, and the policy allows it by its hash: nothing else is ever
        # applied.
        loader = self.environment.loader
        style = loader.get_source(self.environment, "notice.css")[0] if loader else ""
        self._style = Markup(style)  # noqa: S704 - a file of this package
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.policy = _POLICY.format(style=f"style-src 'sha256-{digest}'; ")
        """The Content-Security-Policy under which the pages are whole."""

    def version(
        self,
        public: Publication,
        version: Version,
        texts: Mapping[str, Text],
        language: Language,
        kind: str,
        path: str,
    ) -> str:
        """A version, with a banner where another is to come or is in force."""
        text = texts[language]
        if kind == ".md":
            return render.as_markdown(text, version.terms, self._items)
        if kind == ".json":
            return _json(self._facts(public, version, texts, text))
        banner, links = _banner(public, version, language, path)
        return self._page(
            "notice",
            *(language, path, tuple(texts)),
            page=render.as_html(text, version.terms),
            groups=render.groups(version.terms, self._items),
            version=version,
            start=public.start(version),
            started=public.standing(version) in (State.IN_FORCE, State.SUPERSEDED),
            end=public.end(version),
            banner=banner,
            banner_state=State.ANNOUNCED if not path else public.standing(version),
            banner_links=links,
        )

    def history(self, public: Publication, language: Language, kind: str, path: str) -> str:
        """Every version that was ever announced, the newest first."""
        rows = list(_rows(public))
        words, more = WORDS[language], PAGE_WORDS[language]
        if kind == ".json":
            return _json({"versions": [_instants(public, row["version"]) for row in rows]})
        if kind == ".md":
            lines = [
                f"- {words.version.format(number=row['version'].number)}, {more.states[row['state']]}: "
                f"{more.announced} {words.date(row['version'].life.announce_time)}"
                for row in rows
            ]
            return "\n".join([f"# {more.history}", "", *lines, ""])
        return self._page("history", language, path, tuple(WORDS), title=more.history, rows=rows)

    def difference(
        self, before: Version, after: Version, compared: Comparison, language: Language, kind: str, path: str
    ) -> str:
        """What changed from one version to another, in terms and in the text of a language."""
        more = PAGE_WORDS[language]
        shown = marking.shown(before, after, compared, language)
        title = more.change_title.format(before=before.number, after=after.number)
        if kind == ".md":
            return marking.as_markdown(title, shown, more)
        if kind == ".json":
            return _json(marking.as_json(before.number, after.number, shown))
        return self._page("difference", language, path, tuple(WORDS), title=title, **_marks(shown))

    def marked(self, template: str, language: Language, shown: Shown, **values: Any) -> str:
        """A page that is not public, with a difference in it."""
        values |= {
            "language": language,
            "words": WORDS[language],
            "more": PAGE_WORDS[language],
            "style": self._style,
        }
        return self.environment.get_template(f"{template}.html.j2").render(**values, **_marks(shown))

    def instead(self, language: Language, title: str, text: str) -> str:
        """A page for what cannot be shown."""
        template = self.environment.get_template("none.html.j2")
        return template.render(words=WORDS[language], title=title, text=text, style=self._style)

    def _page(
        self, template: str, language: Language, path: str, languages: Sequence[str], **values: Any
    ) -> str:
        offered = [{"code": code, "words": WORDS[code]} for code in WORDS if code in languages]
        return self.environment.get_template(f"{template}.html.j2").render(
            words=WORDS[language],
            more=PAGE_WORDS[language],
            language=language,
            languages=offered,
            path=path,
            style=self._style,
            **values,
        )

    def _facts(
        self, public: Publication, version: Version, texts: Mapping[str, Text], text: Text
    ) -> dict[str, Any]:
        """The version for machines; `terms` and `texts` are what its digest is of."""
        return {
            **_instants(public, version),
            "language": text.language,
            "title": text.title,
            "markdown": render.as_markdown(text, version.terms, self._items),
            **published(version.terms, texts.values()),
            "dpv": dpv.process(version.terms, self._items),
        }


def _marks(shown: Shown) -> dict[str, Any]:
    return {"changes": shown.changes, "paragraphs": shown.paragraphs}


def _banner(
    public: Publication, version: Version, language: Language, path: str
) -> tuple[str, list[dict[str, str]]]:
    """On the page in force: what is to come. On a version's own page: where it stands."""
    more, words = PAGE_WORDS[language], WORDS[language]
    root = f"/{language}/versions"
    current = public.in_state(State.IN_FORCE)
    if not path:
        upcoming = public.in_state(State.ANNOUNCED)
        if upcoming is None:
            return "", []
        start = public.start(upcoming)
        moment = start or upcoming.life.effective_time
        sentence = (more.banner if start else more.banner_open).format(
            date=words.date(moment) if moment else ""
        )
        change = f"{root}/{version.number}..{upcoming.number}"
        return sentence, [
            {
                "href": f"{root}/{upcoming.number}",
                "words": more.read_it.format(number=upcoming.number),
            },
            {"href": change, "words": more.what_changes},
        ]
    links = [{"href": f"/{language}", "words": more.back}] if current else []
    if public.standing(version) is State.ANNOUNCED:
        if current:
            links.append({"href": f"{root}/{current.number}..{version.number}", "words": more.what_changes})
        return more.announced_page, links
    return (more.older, links) if public.standing(version) is State.SUPERSEDED else ("", [])


def _rows(public: Publication) -> Iterator[dict[str, Any]]:
    for at, version in enumerate(public.versions):
        state = public.standing(version)
        earlier = [one for one in public.versions[at + 1 :] if public.standing(one) is not State.WITHDRAWN]
        withdrawn = state is State.WITHDRAWN
        yield {
            "version": version,
            "state": state,
            "withdrawn": withdrawn,
            "start": public.start(version),
            "end": public.end(version),
            "before": earlier[0].number if earlier and not withdrawn else None,
        }


def _instants(public: Publication, version: Version) -> dict[str, Any]:
    life = version.life
    instants = {
        "announce_time": life.announce_time,
        "effective_time": life.effective_time,
        "in_force_time": public.start(version),
        "superseded_time": public.end(version),
        "withdraw_time": life.withdraw_time,
    }
    return {
        "version": version.number,
        "state": public.standing(version).name,
        **{name: _printed(instant) for name, instant in instants.items()},
        "digest": version.digest.hex(),
    }


def _printed(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
