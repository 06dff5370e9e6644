"""What a message may hold: the rules of the contract, and no field that the contract does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from idv.errors import FieldViolation, IdvError, Reason


class MessageValidator:
    """Checks messages against their protovalidate rules; one for each process, as it compiles them once."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    def check(self, message: Message) -> None:
        """Raises INVALID_ARGUMENT with a violation for each broken rule: path and rule, never the value."""
        violations = self._validator.collect_violations(message)
        if violations:
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "the request breaks a rule of the contract",
                violations=[_render(violation) for violation in violations],
            )


def unknown_fields(message: Message) -> list[str]:
    """The path of every field, at any depth, that the contract does not know: `device.hardware.#77`.

    Its number is an unknown field's only name. Empty for a message that holds none.
    """
    return list(_unknown(message, ""))


def refuse_unknown_fields(message: Message, *, field: str = "") -> None:
    """Raises UNKNOWN_FIELD naming each unknown field; for messages that carry notice items.

    `field` is the path of the message itself in its request.
    """
    prefix = f"{field}." if field else ""
    paths = list(_unknown(message, prefix))
    if paths:
        raise IdvError(
            Reason.ERROR_REASON_UNKNOWN_FIELD,
            "the message holds fields that are not in the contract, so not in the notice",
            violations=[FieldViolation(path, "no field of the contract") for path in paths],
            remedy="send only fields of this release's contract",
        )


def _unknown(message: Message, prefix: str) -> Iterator[str]:
    fields: Any = UnknownFieldSet(message)  # its stub hides that it is a sequence
    for unknown in fields:
        yield f"{prefix}#{unknown.field_number}"
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for path, child in _children(descriptor, value, prefix + descriptor.name):
                yield from _unknown(child, f"{path}.")


def _children(descriptor: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, Message]]:
    if isinstance(value, Message):
        yield path, value
        return
    kind = descriptor.message_type
    is_map = kind is not None and kind.GetOptions().map_entry
    for index, child in enumerate(value.values() if is_map else value):  # a map's keys are data: never named
        if isinstance(child, Message):
            yield f"{path}[{index}]", child


def _render(violation: protovalidate.Violation) -> FieldViolation:
    proto = violation.proto
    elements = proto.field.elements if proto.field else ()
    return FieldViolation(".".join(map(_element, elements)), proto.message or proto.rule_id or "not valid")


def _element(element: Any) -> str:
    """A field's name with its index; the key of a map is data and stays out."""
    subscript = element.subscript
    index = f"[{subscript.value}]" if subscript is not None and subscript.field == "index" else ""
    return f"{element.field_name}{index}"
