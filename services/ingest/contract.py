"""What the contract says of data items, read once from its descriptors: codes, categories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from idv.types.v1 import data_pb2, item_pb2

_TIMESTAMP = Timestamp.DESCRIPTOR.full_name
_STANDALONE = (data_pb2.FaceImage, data_pb2.IdentityDocument)


class ContractError(Exception):
    """The contract breaks its own rules about items; the service must not start."""


@dataclass(frozen=True, slots=True)
class Item:
    """A data item: its code, the category it is stored under, and whether it must be asked for by name."""

    code: str
    category: str
    optional: bool


class Plan:
    """How messages of one category are read: the item of each field."""

    def __init__(self, descriptor: Descriptor) -> None:
        self.category: str = descriptor.GetOptions().Extensions[item_pb2.category]
        if not self.category:
            raise ContractError(f"{descriptor.full_name} has no option (idv.types.v1.category)")
        self.items = {field.number: self._item(field) for field in descriptor.fields}

    def _item(self, field: FieldDescriptor) -> Item:
        codes = {option.code for option in _options(field)}
        option = field.GetOptions().Extensions[item_pb2.item]
        if codes != {option.code} or not option.code:
            raise ContractError(f"{field.full_name} and the fields below it do not carry one notice item")
        return Item(option.code, self.category, option.optional)


class Catalogue:
    """All items of the contract."""

    def __init__(self) -> None:
        descriptors = [field.message_type for field in data_pb2.ItemSet.DESCRIPTOR.fields]
        descriptors += [message.DESCRIPTOR for message in _STANDALONE]
        self.plans: Mapping[str, Plan] = {
            descriptor.name: Plan(descriptor) for descriptor in descriptors if descriptor is not None
        }
        items = [item for plan in self.plans.values() for item in plan.items.values()]
        self.items: Mapping[str, Item] = {item.code: item for item in items}
        self.categories: Mapping[str, frozenset[str]] = {
            plan.category: frozenset(item.code for item in plan.items.values() if not item.optional)
            for plan in self.plans.values()
        }
        """The codes that a category stands for when it is asked for or attested: those not optional."""

    def plan(self, message: Message) -> Plan:
        """The plan of a message of end users' data."""
        return self.plans[message.DESCRIPTOR.name]

    def codes(self, name: str) -> frozenset[str]:
        """The codes that a category or code stands for; empty when the contract knows no such name."""
        if name in self.items:
            return frozenset((name,))
        return self.categories.get(name, frozenset())


def _options(field: FieldDescriptor) -> Iterator[Any]:
    yield field.GetOptions().Extensions[item_pb2.item]
    kind = field.message_type
    if kind is not None and kind.full_name != _TIMESTAMP:
        for below in kind.fields:
            yield from _options(below)


def instant(value: Timestamp) -> datetime | None:
    """The instant, aware, in UTC; None for a value outside of the years 1 to 9999."""
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
