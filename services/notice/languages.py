"""Which of the languages that are shipped a reader asked for."""

from __future__ import annotations

from collections.abc import Sequence

from services.notice.terms import Language


def preferred(accept: str, offered: Sequence[Language]) -> Language:
    """The offered language that Accept-Language (RFC 9110, 12.5.4) weighs most; else the first.

    Tags match by their first part: `zh-Hant-TW` asks for `zh`. What cannot be read weighs nothing.
    """
    best, weight = offered[0], 0.0
    for part in accept[:1000].split(","):
        tag, _, parameter = part.partition(";")
        wanted = tag.strip().lower().split("-")[0]
        asked = _weight(parameter)
        for language in offered:
            if wanted == language and asked > weight:
                best, weight = language, asked
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(1.0, float(value)) if name == "q" else 0.0
    except ValueError:
        return 0.0
