"""A verified receipt as a page to print: one HTML file, without script, that loads nothing."""

from __future__ import annotations

import base64
import enum
import hashlib
from datetime import datetime
from typing import Any

from idv.receipts import VerifiedReceipt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from services.cli.certificate_words import WORDS, Words


class Language(enum.Enum):
    """Of a certificate."""

    ENGLISH = "en"
    CHINESE = "zh"


def certificate(receipt: str, proven: VerifiedReceipt, language: Language) -> str:
    """The page that tells what `receipt` proves, and holds it whole: `proven` is what verifying it gave."""
    environment = Environment(
        loader=PackageLoader("services.cli", "certificates"), autoescape=True, undefined=StrictUndefined
    )
    loader = environment.loader
    style = loader.get_source(environment, "certificate.css")[0] if loader else ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    words = WORDS[language.value]
    return environment.get_template("certificate.html.j2").render(
        words=words,
        language=language.value,
        title=words.titles.get(proven.kind, words.title),
        lead=words.leads.get(proven.kind, words.lead),
        deletion=proven.kind == "deletion",
        broken=proven.entry.get("nothing_past_term_readable") == "no",
        facts=[(words.fields.get(name, name), *_shown(name, value, words)) for name, value in _entry(proven)],
        checkpoint=proven.checkpoint,
        key=str(proven.key),
        leaf_index=proven.leaf_index,
        cosignatures=proven.cosignatures,
        receipt=receipt,
        style=Markup(style),  # noqa: S704 - a file of this package
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )


def _entry(proven: VerifiedReceipt) -> list[tuple[str, Any]]:
    """The entry's facts in the order in which people ask; what has no place there follows."""
    order = {name: place for place, name in enumerate(WORDS["en"].fields)}
    facts = [(name, value) for name, value in proven.entry.items() if name != "kind"]
    return sorted(facts, key=lambda fact: order.get(fact[0], len(order)))


def _shown(name: str, value: object, words: Words) -> tuple[str, bool]:
    """A value as text, and whether it is one to be read letter by letter."""
    if name.endswith("_time"):
        try:
            return f"{datetime.fromisoformat(str(value)):%Y-%m-%d %H:%M:%S} UTC", False
        except ValueError:
            return str(value), False
    text = str(value)
    return words.values.get(text, text), name in {"deletion", "request", "digest"}
