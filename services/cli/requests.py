"""Request ids: every change is asked for under one, so that a repeat gets the first answer."""

from __future__ import annotations

import hashlib
import uuid

from services.cli.failure import usage
from services.cli.output import hint

_NAMESPACE = uuid.UUID("6f1c2a52-7d0e-5b1f-9a57-3c6a1d2b8e40")


def request_id_or_new(given: str | None) -> str:
    """The request id given, or a new random one, which is told on standard error."""
    if given is None:
        made = str(uuid.uuid4())
        hint(f"request id {made}: repeat with --request-id {made} to get the same answer")
        return made
    return _checked(given)


def request_id_or_derived(given: str | None, *content: bytes) -> str:
    """The request id given, or one derived from what is sent: the same content twice is one request."""
    if given is not None:
        return _checked(given)
    digest = hashlib.sha256()
    for part in content:
        digest.update(len(part).to_bytes(8, "big") + part)
    made = str(uuid.uuid5(_NAMESPACE, digest.hexdigest()))
    hint(f"request id {made}, derived from the content: sending the same again changes nothing")
    return made


def _checked(given: str) -> str:
    try:
        return str(uuid.UUID(given))
    except ValueError:
        raise usage(
            "the request id is no UUID", "write it as 8-4-4-4-12 hexadecimal digits", field="--request-id"
        ) from None
