"""What the methods of retention share: page tokens as the contract has them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from idv.errors import IdvError, Reason

PAGE: Final = 100
"""Entries of a page where the request names no number."""


def before(page_token: str) -> UUID | None:
    """The id to go on below; None at the start. Raises INVALID_ARGUMENT."""
    try:
        return UUID(page_token) if page_token else None
    except ValueError as error:
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "the page token is not one that this method returned",
            field="page_token",
            remedy="begin again without a page token",
        ) from error
