"""Instants of the contract as aware datetimes in UTC, and back."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(moment: datetime) -> Timestamp:
    """The instant as the contract carries it."""
    since = moment - _UNIX
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def instant(stamp: Timestamp, *, field: str) -> datetime:
    """The instant, cut to microseconds. Raises TIME_OUT_OF_RANGE about `field` beyond the years 1 to 9999."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise IdvError(
            Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
            f"{field} is no instant between the years 1 and 9999",
            field=field,
            remedy="send seconds since 1970 and from 0 to 999 999 999 nanoseconds",
        ) from None
