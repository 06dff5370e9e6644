"""What a session's upload token allows; storage takes Customer and session from it and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.types.v1 import data_pb2, item_pb2

from services.runtime.resources import parse_session
from services.runtime.tokens import TokenVerifier
from services.storage import ids


@dataclass(frozen=True, slots=True)
class Grant:
    """A session as its verified token names it, with the items that it may hold."""

    customer: str
    session: UUID
    day: date
    items: frozenset[str]
    notice_version: int

    def check_category(self, category: str) -> None:
        """Raises ITEM_NOT_REQUESTED unless the session may hold the category, or an optional item of it."""
        below = f"{category}."
        asked = any(item == category or item.startswith(below) for item in self.items)
        if not asked or category not in categories():
            raise IdvError(
                Reason.ERROR_REASON_ITEM_NOT_REQUESTED,
                "the session does not ask for this category",
                field="category",
                remedy="open a session that asks for it",
            )

    def asked(self, category: str) -> frozenset[str]:
        """The optional items of the category that the session asked for by name."""
        return frozenset(item for item in self.items if item.startswith(f"{category}."))


@cache
def categories() -> frozenset[str]:
    """The categories of the contract: its messages that become one record each."""
    messages = data_pb2.DESCRIPTOR.message_types_by_name.values()
    found = {message.GetOptions().Extensions[item_pb2.category] for message in messages}
    return frozenset(found - {""})


class Grants:
    """Verifies upload tokens; one that was seen before costs a lookup."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    def of(self, token: str) -> Grant:
        """The grant of a good token; raises UNAUTHENTICATED or CREDENTIAL_EXPIRED."""
        return self._verifier.caller(token, _grant)


def _grant(_verifier: TokenVerifier, _token: str, claims: Mapping[str, Any]) -> Grant:
    customer, session_id = parse_session(str(claims["sub"]), field="sub")
    session = UUID(session_id)
    items, version = claims.get("items", ()), claims.get("notice_version", 0)
    try:
        day = ids.session_day(session)
        return Grant(customer, session, day, frozenset(str(item) for item in items), int(version))
    except (ValueError, TypeError) as error:
        raise IdvError(
            Reason.ERROR_REASON_UNAUTHENTICATED, "the upload token is not of the expected form"
        ) from error
