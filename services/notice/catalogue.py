"""The item catalogue: every data item that can exist at all, read from the contract's descriptors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf.descriptor import Descriptor, FileDescriptor
from idv.types.v1 import data_pb2, item_pb2


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """A data item of the contract."""

    code: str
    """Code of the item, such as `device.network.dns_ip`."""
    category: str
    """Category under which it is stored and erased, such as `device.network`."""
    optional: bool
    """Whether the contract lets it be collected only when a Customer asks for it by code."""


def catalogue(contract: FileDescriptor = data_pb2.DESCRIPTOR) -> Mapping[str, CatalogueItem]:
    """Every item by its code, in the order of the contract.

    Several fields may carry one item (width and height are the screen's resolution).
    Raises ValueError when two of them disagree, or an item lies in no category: a fault of the contract, not
    of a notice.
    """
    items: dict[str, CatalogueItem] = {}
    messages = list(contract.message_types_by_name.values())
    categories = [name for message in messages if (name := _category(message))]
    for message in messages:
        for code, optional in _carried(message):
            item = CatalogueItem(code, _home(code, categories), optional)
            known = items.setdefault(code, item)
            if known.optional != optional:
                raise ValueError(f"item {code} is optional in one field of the contract and not in another")
    return MappingProxyType(items)


def _category(message: Descriptor) -> str:
    return str(message.GetOptions().Extensions[item_pb2.category])


def _carried(message: Descriptor) -> Iterator[tuple[str, bool]]:
    """Code and optionality of each field that carries an item."""
    for field in message.fields:
        item = field.GetOptions().Extensions[item_pb2.item]
        if item.code:
            yield item.code, item.optional


def _home(code: str, categories: list[str]) -> str:
    """The category of a code: the longest that is the code itself or a dotted prefix of it."""
    homes = [name for name in categories if code == name or code.startswith(f"{name}.")]
    if not homes:
        raise ValueError(f"item {code} of the contract lies in no category")
    return max(homes, key=len)
