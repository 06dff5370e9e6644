"""Instants of the contract, to microseconds and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason

TOLERANCE = timedelta(seconds=5)
"""How far the clocks of two services may differ."""


def instant(value: Timestamp, *, field: str) -> datetime:
    """The instant, cut to microseconds; raises TIME_OUT_OF_RANGE about `field`."""
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _out_of_range(field) from None


def received(
    value: Timestamp, now: datetime, *, field: str, within: timedelta = timedelta(hours=1)
) -> datetime:
    """When another service received something, lately and not in the future; raises TIME_OUT_OF_RANGE."""
    when = instant(value, field=field)
    if not now - within <= when <= now + TOLERANCE:
        raise _out_of_range(field)
    return when


def timestamp(value: datetime) -> Timestamp:
    """The instant as the contract carries it."""
    made = Timestamp()
    made.FromDatetime(value)
    return made


def _out_of_range(field: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
        f"{field} lies outside of what can be true",
        field=field,
        remedy="check the clock of the sender",
    )
