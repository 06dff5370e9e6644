"""A version as it is kept: its content, fixed when drafted, and the instants of its life."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

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


def digest(terms: Terms, texts: tuple[Text, ...]) -> bytes:
    """SHA-256 of what a version says, 32 bytes.

    Over JSON, keys sorted, no spaces: `{"terms": ..., "texts": [{"language", "markdown", "title"}]}`:
    the texts stand in the order of their languages. All of that is published; none of it is personal data.
    """
    ordered = sorted(texts, key=lambda text: text.language)
    content = {
        "terms": terms.model_dump(mode="json"),
        "texts": [{"language": t.language, "title": t.title, "markdown": t.markdown} for t in ordered],
    }
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).digest()
