"""What the log's leaves stand for: entries, made canonical and salted. Pure but for the random salt."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from idv.receipts import SALT_SIZE, Opening, canonical
from idv.types.v1.receipt_pb2 import EntryKind

_PREFIX = "ENTRY_KIND_"


@dataclass(frozen=True)
class Entry:
    """An entry to be logged once under `source`, its name in this service; `public`: it has no Customer."""

    kind: EntryKind.ValueType
    source: str
    opening: Opening
    public: bool


def entry(kind: EntryKind.ValueType, source: str, facts: Mapping[str, Any], *, public: bool) -> Entry:
    """An entry of `facts`: strings, whole numbers, and instants, which are written as `instant` does.

    A fact that is None is left out. A fresh salt hides the entry from whoever sees only its leaf.
    """
    written = {
        name: instant(fact) if isinstance(fact, datetime) else fact
        for name, fact in facts.items()
        if fact is not None
    }
    text = canonical({"kind": EntryKind.Name(kind).removeprefix(_PREFIX).lower(), **written})
    return Entry(kind, source, Opening(secrets.token_bytes(SALT_SIZE), text), public)


def instant(time: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
