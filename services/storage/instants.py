"""Instants that another service told of, and how far they may be off."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason

from services.runtime.instants import instant

TOLERANCE = timedelta(seconds=5)
"""How far the clocks of two services may differ."""


def received(
    value: Timestamp, now: datetime, *, field: str, within: timedelta = timedelta(hours=1)
) -> datetime:
    """When another service received something, lately and not in the future; raises TIME_OUT_OF_RANGE."""
    when = instant(value, field=field)
    if not now - within <= when <= now + TOLERANCE:
        raise IdvError(
            Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
            f"{field} lies outside of what can be true",
            field=field,
            remedy="check the clock of the sender",
        )
    return when
