"""The contract as its descriptors tell it: what the tests that are generated from the contract walk over."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import idv.types.v1.access_pb2 as access_pb2
import idv.types.v1.data_pb2 as data_pb2
import idv.types.v1.item_pb2 as item_pb2
from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

ROOT = Path(__file__).parent.parent
"""The repository."""

PROTOS = ROOT / "protos"
"""The contracts and the code generated beside them."""

DATA_ROOTS: tuple[Descriptor, ...] = (
    data_pb2.ItemSet.DESCRIPTOR,
    data_pb2.FaceImage.DESCRIPTOR,
    data_pb2.IdentityDocument.DESCRIPTOR,
)
"""The messages through which end users' data enters; what they reach is end users' data."""


@cache
def modules() -> tuple[ModuleType, ...]:
    """Every generated module of messages, imported."""
    paths = sorted((PROTOS / "idv").rglob("*_pb2.py"))
    names = (".".join(path.relative_to(PROTOS).with_suffix("").parts) for path in paths)
    return tuple(importlib.import_module(name) for name in names)


def files() -> list[FileDescriptor]:
    """The descriptor of every file of the contract."""
    return [module.DESCRIPTOR for module in modules()]


def services() -> list[ServiceDescriptor]:
    """Every service of the contract."""
    return [service for file in files() for service in file.services_by_name.values()]


def methods() -> list[MethodDescriptor]:
    """Every RPC of the contract."""
    return [method for service in services() for method in service.methods]


def messages() -> list[Descriptor]:
    """Every message of the contract, nested ones included."""
    return [
        found
        for file in files()
        for top in file.message_types_by_name.values()
        for found in _with_nested(top)
    ]


def fields() -> list[FieldDescriptor]:
    """Every field of every message of the contract."""
    return [field for message in messages() for field in message.fields]


def _with_nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for nested in message.nested_types:
        yield from _with_nested(nested)


def reachable(*roots: Descriptor) -> list[Descriptor]:
    """The roots and every message of the contract that their fields lead to, each once."""
    found: dict[str, Descriptor] = {}
    waiting = list(roots)
    while waiting:
        message = waiting.pop()
        if message.full_name in found or not message.full_name.startswith("idv."):
            continue
        found[message.full_name] = message
        waiting += [field.message_type for field in message.fields if field.message_type]
    return list(found.values())


def data_fields() -> list[FieldDescriptor]:
    """Every field that carries end users' data: of all that the item set, face images and documents lead to.

    The fields of the item set itself only say which message is meant.
    """
    carriers = [message for message in reachable(*DATA_ROOTS) if message is not data_pb2.ItemSet.DESCRIPTOR]
    return [field for message in carriers for field in message.fields]


def rule(method: MethodDescriptor) -> access_pb2.AccessRule:
    """The access rule of an RPC, empty where it has none."""
    return method.GetOptions().Extensions[access_pb2.access]


def item(field: FieldDescriptor) -> item_pb2.NoticeItem:
    """The notice item that a field carries, empty where it carries none."""
    return field.GetOptions().Extensions[item_pb2.item]


def category(message: Descriptor) -> str:
    """The category under which a message is stored, empty where it is no record of its own."""
    return str(message.GetOptions().Extensions[item_pb2.category])


def field_at(message: Descriptor, path: str) -> FieldDescriptor | None:
    """The field at a dotted path such as `header.session`; None when there is none."""
    field: FieldDescriptor | None = None
    within: Descriptor | None = message
    for name in path.split("."):
        field = within.fields_by_name.get(name) if within else None
        if field is None:
            return None
        within = field.message_type
    return field
