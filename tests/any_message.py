"""Hypothesis strategies for messages of the contract, from their descriptors: of any content, or valid."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from tests.alphabet import CHARACTERS

Strategy = st.SearchStrategy[Any]
_Above = frozenset[str]
"""The types of the messages that a message lies in: a type within itself is left empty there."""
_Values = Callable[[FieldDescriptor, _Above], Strategy]

# Texts as devices really have them, and as nobody should.
_ODD_TEXTS = ("", "\x00", "a" * 300, "\u202e", "😀" * 64, "'; DROP TABLE records; --", "10.0.0.1", "::1")
_ANY: dict[int, Strategy] = {
    FieldDescriptor.TYPE_STRING: st.text(CHARACTERS, max_size=40) | st.sampled_from(_ODD_TEXTS),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(-1, 9),
}
_ANY_STAMPS = st.builds(Timestamp, seconds=st.integers(-(2**40), 2**40), nanos=st.integers(-1, 10**9))
_LATELY = int(time.time()) - 600
_LATE_STAMPS = st.builds(Timestamp, seconds=st.integers(_LATELY - 600, _LATELY), nanos=st.integers(0, 999))


def any_message(descriptor: Descriptor, above: _Above = frozenset()) -> Strategy:
    """Messages of this type with any of their fields set to anything of the field's type."""
    if descriptor.full_name == Timestamp.DESCRIPTOR.full_name:
        return _ANY_STAMPS
    return _made(descriptor, _any_value, above)


def valid_message(descriptor: Descriptor, above: _Above = frozenset()) -> Strategy:
    """Messages of this type that keep every rule of the contract; instants lie some minutes back."""
    if descriptor.full_name == Timestamp.DESCRIPTOR.full_name:
        return _LATE_STAMPS
    return _made(descriptor, _valid_value, above)


def _made(descriptor: Descriptor, value: _Values, above: _Above) -> Strategy:
    """Messages with some of their fields, and messages with all of them."""
    message: type[Message] = GetMessageClass(descriptor)
    if descriptor.full_name in above:
        return st.builds(message)
    within = above | {descriptor.full_name}
    fields = {field.name: value(field, within) for field in descriptor.fields}
    needed = {field.name for field in descriptor.fields if value is _valid_value and _is_needed(field)}
    some = st.fixed_dictionaries(
        {name: fields[name] for name in needed},
        optional={name: strategy for name, strategy in fields.items() if name not in needed},
    )
    return (some | st.fixed_dictionaries(fields)).map(lambda chosen: message(**chosen))


def _any_value(field: FieldDescriptor, above: _Above) -> Strategy:
    one = any_message(field.message_type, above) if field.message_type else _ANY[field.type]
    return st.lists(one, max_size=4) if field.is_repeated else one


def _rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    return field.GetOptions().Extensions[validate_pb2.field]


def _is_needed(field: FieldDescriptor) -> bool:
    """Whether a rule refuses the field's empty value."""
    rules = _rules(field)
    text = rules.string
    return bool(rules.required or 0 in rules.enum.not_in or text.min_len or text.pattern)


def _valid_value(field: FieldDescriptor, above: _Above) -> Strategy:
    rules = _rules(field)
    if not field.is_repeated:
        return _valid_one(field, rules, above)
    return st.lists(_valid_one(field, rules.repeated.items, above), min_size=1, max_size=3)


def _valid_one(field: FieldDescriptor, rules: validate_pb2.FieldRules, above: _Above) -> Strategy:
    if field.message_type:
        return valid_message(field.message_type, above)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _valid_text(rules.string)
    if field.type == FieldDescriptor.TYPE_FLOAT:
        return st.floats(0, rules.float.lte, width=32)
    if field.type in (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64):
        return st.integers(0, rules.uint32.lte or rules.uint64.lte or 1000)
    if field.enum_type:
        allowed = {value.number for value in field.enum_type.values} - {0}
        return st.sampled_from(sorted(allowed))
    return _ANY[field.type]


def _valid_text(rules: validate_pb2.StringRules) -> Strategy:
    if rules.ip:
        return st.ip_addresses().map(str)
    if rules.pattern:
        return st.from_regex(rules.pattern, fullmatch=True, alphabet=CHARACTERS)
    return st.text(CHARACTERS, min_size=rules.min_len, max_size=min(rules.max_len or 64, 64))
