"""Resource names such as `customers/{customer}/sessions/{session}`, made and taken apart."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from idv.errors import IdvError, Reason

_CUSTOMER = r"[a-z0-9-]{3,40}"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SEGMENTS = {"customer": _CUSTOMER} | dict.fromkeys(
    ("session", "record", "deletion", "relay", "request"), _UUID
)
_OTHER = r"[a-z0-9][a-z0-9.-]{0,62}"

_CUSTOMER_TEMPLATE = "customers/{customer}"
_SESSION_TEMPLATE = _CUSTOMER_TEMPLATE + "/sessions/{session}"
_RECORD_TEMPLATE = _SESSION_TEMPLATE + "/records/{record}"
_DELETION_TEMPLATE = _CUSTOMER_TEMPLATE + "/deletions/{deletion}"
_RELAY_TEMPLATE = _CUSTOMER_TEMPLATE + "/relays/{relay}"
_PREFIX = re.compile(rf"customers/({_CUSTOMER})(?:/sessions/({_UUID})(?=/|\Z))?(?:/|\Z)")


class SessionName(NamedTuple):
    """The ids in a session's resource name."""

    customer: str
    session: str


class RecordName(NamedTuple):
    """The ids in a record's resource name."""

    customer: str
    session: str
    record: str


class DeletionName(NamedTuple):
    """The ids in a deletion's resource name."""

    customer: str
    deletion: str


class RelayName(NamedTuple):
    """The ids in a relayed request's resource name."""

    customer: str
    relay: str


class Owner(NamedTuple):
    """Whom a resource belongs to: its Customer and, below a session, its session."""

    customer: str
    session: str | None


def customer_name(customer: str) -> str:
    """`customers/{customer}`."""
    return f"customers/{customer}"


def session_name(customer: str, session: str) -> str:
    """`customers/{customer}/sessions/{session}`."""
    return f"customers/{customer}/sessions/{session}"


def record_name(customer: str, session: str, record: str) -> str:
    """`customers/{customer}/sessions/{session}/records/{record}`."""
    return f"customers/{customer}/sessions/{session}/records/{record}"


def deletion_name(customer: str, deletion: str) -> str:
    """`customers/{customer}/deletions/{deletion}`."""
    return f"customers/{customer}/deletions/{deletion}"


def relay_name(customer: str, relay: str) -> str:
    """`customers/{customer}/relays/{relay}`."""
    return f"customers/{customer}/relays/{relay}"


def parse_customer(name: str, *, field: str) -> str:
    """The Customer id in `customers/{customer}`; raises INVALID_ARGUMENT about `field`."""
    return parse(_CUSTOMER_TEMPLATE, name, field=field)[0]


def parse_session(name: str, *, field: str) -> SessionName:
    """The ids in a session's name; raises INVALID_ARGUMENT about `field`."""
    return SessionName(*parse(_SESSION_TEMPLATE, name, field=field))


def parse_record(name: str, *, field: str) -> RecordName:
    """The ids in a record's name; raises INVALID_ARGUMENT about `field`."""
    return RecordName(*parse(_RECORD_TEMPLATE, name, field=field))


def parse_deletion(name: str, *, field: str) -> DeletionName:
    """The ids in a deletion's name; raises INVALID_ARGUMENT about `field`."""
    return DeletionName(*parse(_DELETION_TEMPLATE, name, field=field))


def parse_relay(name: str, *, field: str) -> RelayName:
    """The ids in a relayed request's name; raises INVALID_ARGUMENT about `field`."""
    return RelayName(*parse(_RELAY_TEMPLATE, name, field=field))


def owner_of(name: str, *, field: str) -> Owner:
    """Whom any resource below `customers/{customer}` belongs to; raises INVALID_ARGUMENT about `field`."""
    match = _PREFIX.match(name)
    if match is None:
        raise _malformed("customers/{customer}/…", field)
    return Owner(match[1], match[2])


def parse(template: str, name: str, *, field: str) -> tuple[str, ...]:
    """The ids in `name` in the order of `template`, such as `customers/{customer}/rights/{request}`.

    `{customer}` is a Customer id; `{session}`, `{record}`, `{deletion}`, `{relay}` and `{request}` are UUIDs
    in lower case; any other segment is 1 to 63 of a-z, 0-9, dot and hyphen. Raises INVALID_ARGUMENT about
    `field`, without the name itself.
    """
    match = _pattern(template).fullmatch(name)
    if match is None:
        raise _malformed(template, field)
    return match.groups()


@lru_cache(maxsize=64)  # one entry for each template in the code
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    fixed, ids = parts[::2], parts[1::2]
    text = re.escape(fixed[0])
    for name, following in zip(ids, fixed[1:], strict=True):
        text += f"({_SEGMENTS.get(name, _OTHER)}){re.escape(following)}"
    return re.compile(text)


def _malformed(template: str, field: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        f"{field} is not a resource name of the form {template}",
        field=field,
        remedy="pass the name as the service returned it",
    )
