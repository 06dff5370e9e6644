"""A valid request of any method, made from its descriptor: no more than the contract's rules require."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

# A text for each pattern that the contract uses. A new pattern stops the tests until it has one.
_OF_PATTERN = {
    "^notices/[0-9]{1,9}$": "notices/999",
    "^[a-z0-9_.]{1,64}$": "log",
    "^[a-z0-9_.]{1,96}$": "capture.started",
    "^[a-z_]{1,32}$": "session",
    "^[A-Z0-9-]{4,32}$": "CASE-0001",
    "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$": "2026-11-24",
}
# What an entry of a list is that no rule restrains.
_UNRULED = {FieldDescriptor.TYPE_STRING: "log", FieldDescriptor.TYPE_ENUM: 1}
_CUSTOMER_PATTERN = "^customers/[a-z0-9-]{3,40}$"
# What these do to a Customer can't be undone: other tests go on with the one that is named otherwise.
_ENDS_A_CUSTOMER = {"OffboardCustomerRequest", "CloseCustomerRequest"}
_DEPARTED = "customers/departed"
_NO_SUCH = "00000000-0000-7000-8000-00000000000f"


@dataclass(frozen=True)
class Names:
    """The resources that a request may name."""

    customer: str
    """`customers/{customer}`."""
    session: str
    """The name of a session of that Customer."""
    upload_token: str = ""
    """That session's upload token."""

    def of(self, message: Descriptor, field: FieldDescriptor) -> str | None:
        """The resource that a field of a request names, by the request's and the field's own name."""
        if message.name in _ENDS_A_CUSTOMER and field.name in ("customer", "name"):
            return _DEPARTED
        if field.name in ("parent", "customer", "customer_name"):
            return self.customer
        if field.name == "session" or (field.name == "name" and "Session" in message.name):
            return self.session
        if field.name == "record" or (field.name == "name" and "Record" in message.name):
            return f"{self.session}/records/{_NO_SUCH}"
        if field.name == "deletion" and message.name == "ReportDeletionRequest":
            return f"{self.customer}/deletions/{_NO_SUCH}"
        if field.name != "name":
            return None
        for kind in ("Deletion", "Relay"):
            if kind in message.name:
                return f"{self.customer}/{kind.lower()}s/{_NO_SUCH}"
        return self.customer if "Customer" in message.name else None


def minimal(method: MethodDescriptor, names: Names) -> Message:
    """The least request that keeps every rule of the contract; of a client stream, its first message."""
    request = _message(method.input_type, names)
    header = method.input_type.fields_by_name.get("header")
    if (
        method.client_streaming and header is not None
    ):  # no rule can require it: it stands in the first message only
        getattr(request, header.name).CopyFrom(_message(_message_type(header), names))
    return request


def _message(descriptor: Descriptor, names: Names) -> Message:
    message = GetMessageClass(descriptor)()
    for field in _needed(descriptor):
        value = _value(field, _rules(field), names)
        if value is None:
            continue
        if field.is_repeated:
            getattr(message, field.name).extend([value] * _rules(field).repeated.min_items)
        elif isinstance(value, Message):
            getattr(message, field.name).CopyFrom(value)
        else:
            setattr(message, field.name, value)
    return message


def _needed(descriptor: Descriptor) -> Iterator[FieldDescriptor]:
    """Fields outside of any choice, and of each required choice the first."""
    for field in descriptor.fields:
        choice = field.containing_oneof
        if choice is None or len(choice.fields) == 1:  # an `optional` field is a choice of its own
            yield field
            continue
        if choice.fields[0].number == field.number and _is_required_choice(field):
            yield field


def _rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    return field.GetOptions().Extensions[validate_pb2.field]


def _value(field: FieldDescriptor, rules: validate_pb2.FieldRules, names: Names) -> Any:
    if field.is_repeated:
        if not rules.repeated.min_items:
            return None
        rules = rules.repeated.items
        if not rules.WhichOneof("type") and field.message_type is None:
            return _UNRULED[field.type]
    if field.message_type is not None:
        if not (rules.required or field.is_repeated or _is_required_choice(field)):
            return None
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return datetime.now(UTC)
        return _message(_message_type(field), names)
    return _scalar(field, rules, names)


def _is_required_choice(field: FieldDescriptor) -> bool:
    choice = field.containing_oneof
    return choice is not None and choice.GetOptions().Extensions[validate_pb2.oneof].required


def _scalar(field: FieldDescriptor, rules: validate_pb2.FieldRules, names: Names) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(field, rules.string, names)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes(rules.bytes.len) or None
    if field.type == FieldDescriptor.TYPE_ENUM:
        allowed = getattr(rules.enum, "in")
        return allowed[0] if allowed else 1 if 0 in rules.enum.not_in else None
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rules.bool.const or None
    limits = rules.int32 if field.type == FieldDescriptor.TYPE_INT32 else rules.int64
    return limits.gt + 1 if limits.HasField("gt") else None


def _text(field: FieldDescriptor, rules: validate_pb2.StringRules, names: Names) -> str | None:
    if field.name == "session_token":
        return names.upload_token
    within = field.containing_type
    resource = names.of(within, field) if within else None
    if rules.pattern == _CUSTOMER_PATTERN or (resource and rules.pattern == ""):
        return resource
    if rules.pattern:
        return _OF_PATTERN[rules.pattern]
    if rules.uuid:
        return str(uuid.uuid4())
    if getattr(rules, "in"):
        return str(getattr(rules, "in")[0])
    return "x" * rules.min_len or None


def _message_type(field: FieldDescriptor) -> Descriptor:
    assert field.message_type is not None
    return field.message_type
