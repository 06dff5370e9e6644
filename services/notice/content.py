"""A version as it is kept: its content, fixed when drafted, and the instants of its life."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.notice.lifecycle import Life
from services.notice.terms import Terms
from services.notice.text import Text


@dataclass(frozen=True, slots=True)
class Version:
    """A stored version without its texts: what decides and what other services follow."""

    life: Life
    terms: Terms
    digest: bytes
    """See `digest`."""
    material: bool | None
    """Whether the change was judged material; None for a draft."""

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return self.life.number


def published(terms: Terms, texts: Iterable[Text]) -> dict[str, Any]:
    """What a version says, as JSON values: `{"terms": ..., "texts": [{"language", "markdown", "title"}]}`.

    The texts stand in the order of their languages. None of it is personal data.
    """
    ordered = sorted(texts, key=lambda text: text.language)
    return {
        "terms": terms.plain(),
        "texts": [{"language": t.language, "title": t.title, "markdown": t.markdown} for t in ordered],
    }


def digest(terms: Terms, texts: Iterable[Text]) -> bytes:
    """SHA-256, 32 bytes, of what a version says: of `published` as JSON in UTF-8, keys sorted, no spaces."""
    content = published(terms, texts)
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).digest()
