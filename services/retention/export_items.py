"""Typed items and descriptions as the contract names their categories: what a record's bytes mean."""

from __future__ import annotations

from functools import cache

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from idv.types.v1 import data_pb2, item_pb2

ITEMS = "application/x-protobuf"
"""The media type of typed items."""


def items(category: str, body: bytes) -> Message:
    """The typed items in a record's body."""
    return _kinds()[category].FromString(body)


def described(category: str, description: bytes) -> Message:
    """What came with an image or document."""
    return _kinds()[category].FromString(description)


@cache
def _kinds() -> dict[str, type[Message]]:
    found: dict[str, type[Message]] = {}
    for descriptor in data_pb2.DESCRIPTOR.message_types_by_name.values():
        category = descriptor.GetOptions().Extensions[item_pb2.category]
        if category:
            found[category] = GetMessageClass(descriptor)
    return found
