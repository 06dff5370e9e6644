"""Messages of the contract as plain values: for JSON, and as cells of a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def plain(message: Message) -> dict[str, Any]:
    """Every field that is set or has no presence, under its name in the contract.

    Times become RFC 3339 text, bytes hexadecimal, enum values their names without the enum's prefix, in
    small letters.
    """
    values: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.is_repeated:
            values[field.name] = [_plain_value(field, item) for item in value]
        else:
            values[field.name] = _plain_value(field, value)
    return values


def instant(time: Timestamp) -> datetime:
    """The timestamp as an aware datetime in UTC."""
    return time.ToDatetime(tzinfo=UTC)


def timestamp(time: datetime) -> Timestamp:
    """An aware datetime as a timestamp."""
    value = Timestamp()
    value.FromDatetime(time.astimezone(UTC))
    return value


def shown_time(time: Timestamp) -> str:
    """The timestamp for people: to the second, in UTC; empty when it is not set."""
    if not (time.seconds or time.nanos):
        return ""
    return instant(time).strftime("%Y-%m-%dT%H:%M:%SZ")


def name_of(enum: EnumDescriptor, number: int) -> str:
    """An enum value's name without the enum's prefix, in small letters; its number when this release does
    not know it.
    """
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return value.name.removeprefix(prefix).lower()


def enum_named(enum: EnumDescriptor, name: str) -> int:
    """The number of the value that `name_of` would call `name`; raises KeyError."""
    return {name_of(enum, value.number): value.number for value in enum.values if value.number}[name]


def names(enum: EnumDescriptor) -> list[str]:
    """What the values of an enum are called, without the unspecified one."""
    return [name_of(enum, value.number) for value in enum.values if value.number]


def last(name: str) -> str:
    """The last part of a resource name: the id."""
    return name.rpartition("/")[2]


def flat(values: Mapping[str, Any]) -> dict[str, str | None]:
    """Plain values as text for a table of facts; what is empty becomes None."""
    return {name.replace("_", " "): _text(value) for name, value in values.items()}


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or None
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or None
    return None if value in ("", None) else str(value)


def _plain_value(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return instant(value).isoformat().replace("+00:00", "Z")
    if isinstance(value, Message):
        return plain(value)
    if field.enum_type is not None:
        return name_of(field.enum_type, value)
    return value.hex() if isinstance(value, bytes) else value
