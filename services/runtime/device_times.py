"""Times that a device states: they decide nothing, and one that cannot be true is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason

_TIMESTAMP: Final = Timestamp.DESCRIPTOR.full_name
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(days=1)
"""Devices with a wrong time zone are common; a clock that is further ahead says nothing."""


def check_device_times(message: Message, path: str, received: datetime) -> None:
    """Raises TIME_OUT_OF_RANGE about the first time in `message`, at any depth, that cannot be true."""
    for place, value in _times(message):
        try:
            moment = value.ToDatetime(tzinfo=UTC)
        except (ValueError, OverflowError):
            moment = None
        if moment is None or not _EARLIEST <= moment <= received + _AHEAD:
            raise IdvError(
                Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
                "a time of the device is outside of what can be true",
                field=f"{path}.{place}",
                remedy="correct the device's clock, or leave the time out",
            )


@cache
def _holding(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields that are, or hold, times."""
    return tuple(field for field in descriptor.fields if field.message_type and _holds(field.message_type))


def _holds(kind: Descriptor) -> bool:
    return kind.full_name == _TIMESTAMP or bool(_holding(kind))


def _times(message: Message) -> Iterator[tuple[str, Timestamp]]:
    for field in _holding(message.DESCRIPTOR):
        value = getattr(message, field.name)
        if isinstance(value, Timestamp):
            if message.HasField(field.name):
                yield field.name, value
            continue
        several = not isinstance(value, Message)
        for index, child in enumerate(value if several else (value,)):
            for place, found in _times(child):
                yield (f"{field.name}[{index}]" if several else field.name) + f".{place}", found
