"""Page tokens: the position of the last item of a page."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

from idv.errors import IdvError, Reason

DEFAULT_SIZE = 100
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode(when: datetime, item: UUID) -> str:
    """The token of a page that ends with this item."""
    position = ((when - _UNIX) // _MICROSECOND).to_bytes(8, "big") + item.bytes
    return base64.urlsafe_b64encode(position).decode()


def decode(token: str) -> tuple[datetime, UUID] | None:
    """The position after which a page begins; None for the first. Raises INVALID_ARGUMENT."""
    if not token:
        return None
    try:
        position = base64.urlsafe_b64decode(token)
        return _UNIX + int.from_bytes(position[:8], "big") * _MICROSECOND, UUID(bytes=position[8:])
    except (ValueError, binascii.Error, OverflowError):
        raise malformed() from None


def malformed() -> IdvError:
    """The answer to a page token that was never given out."""
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        "page_token is not one that this method returned",
        field="page_token",
        remedy="pass next_page_token of the answer before, unchanged",
    )
