"""Ids that carry what must be known without a lookup: a session's time, a record's receipt time and session's
day.

Session ids are UUIDv7 (RFC 9562) of the session's creation. Record ids are UUIDv8: 48 bits of receipt time in
milliseconds, then 12 bits whose lower 4 hold the days from the session's day to the day of receipt (0 or 1);
the rest is random.
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from services.storage.epochs import Epoch

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_VARIANT = 0b10 << 62


def new_session_id(now: datetime) -> UUID:
    """A session id made then."""
    return _compose(now, version=7, middle=secrets.randbits(12))


def session_day(session: UUID) -> date:
    """The UTC day of the session: its partition and key tree. ValueError if the id is of another kind."""
    return _time(session, version=7).date()


def session_time(session: UUID) -> datetime:
    """When the session was made, to the millisecond. ValueError if the id is of another kind."""
    return _time(session, version=7)


def session_epoch(session: UUID) -> Epoch:
    """The epoch under which the session's own row is sealed."""
    made = _time(session, version=7)
    return Epoch.of(made.date(), made)


def new_record_id(day: date, received: datetime) -> UUID:
    """The id of a record of the day's session whose first byte arrived then; ValueError later than the day
    after.
    """
    offset = (received.date() - day).days
    if offset not in (0, 1):
        raise ValueError("a record is received on its session's day or the day after")
    return _compose(received, version=8, middle=secrets.randbits(8) << 4 | offset)


def record_epoch(record: UUID) -> Epoch:
    """The epoch whose root key the record's key comes from; ValueError if the id is no record's."""
    received = _time(record, version=8)
    offset = (record.int >> 64) & 0xF
    return Epoch.of(received.date() - timedelta(days=offset), received)


def new_access_id(now: datetime) -> UUID:
    """An id for a log entry; ids of later entries sort after it."""
    return _compose(now, version=7, middle=secrets.randbits(12))


def _compose(when: datetime, *, version: int, middle: int) -> UUID:
    milliseconds = (when - _UNIX) // _MILLISECOND
    high = milliseconds << 16 | version << 12 | middle
    return UUID(int=high << 64 | _VARIANT | secrets.randbits(62))


def _time(value: UUID, *, version: int) -> datetime:
    if (value.int >> 76) & 0xF != version or (value.int >> 62) & 0b11 != 0b10:
        raise ValueError(f"not a UUID of version {version}")
    try:
        return _UNIX + (value.int >> 80) * _MILLISECOND
    except OverflowError:  # 48 bits reach beyond the year 9999
        raise ValueError("a UUID of a time beyond the calendar") from None
