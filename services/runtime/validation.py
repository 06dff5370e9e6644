"""What a message may hold: the rules of the contract, and no field that the contract does not know."""

from __future__ import annotations

from collections.abc import Iterator

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from idv.errors import FieldViolation, IdvError, Reason


class MessageValidator:
    """Checks messages against their protovalidate rules; keep one for each process, it compiles a message type's rules once."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    def check(self, message: Message) -> None:
        """Raises INVALID_ARGUMENT with a violation for each broken rule: the field's path and the rule, never the value."""
        violations = self._validator.collect_violations(message)
        if violations:
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "the request breaks a rule of the contract",
                violations=[_render(violation) for violation in violations],
            )


def unknown_fields(message: Message) -> list[str]:
    """The path of every field, at any depth, that this release's contract does not know: `device.hardware.#77`.

    A field's number is its only known name. Empty for a message that holds none.
    """
    return list(_unknown(message, ""))


def refuse_unknown_fields(message: Message, *, field: str = "") -> None:
    """Raises UNKNOWN_FIELD naming each unknown field; for messages that carry notice items. `field` is the message's own path."""
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
    for unknown in UnknownFieldSet(message):
        yield f"{prefix}#{unknown.field_number}"
    for descriptor, value in message.ListFields():
        if descriptor.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        for path, child in _children(descriptor, value, prefix + descriptor.name):
            yield from _unknown(child, f"{path}.")


def _children(descriptor: FieldDescriptor, value: object, path: str) -> Iterator[tuple[str, Message]]:
    if isinstance(value, Message):
        yield path, value
    elif descriptor.message_type.GetOptions().map_entry:
        for index, child in enumerate(value.values()):  # type: ignore[attr-defined]  # a map; its keys are data, never named
            if isinstance(child, Message):
                yield f"{path}{{{index}}}", child
    else:
        for index, child in enumerate(value):  # type: ignore[arg-type,call-overload]  # a repeated message field
            yield f"{path}[{index}]", child


def _render(violation: protovalidate.Violation) -> FieldViolation:
    parts = []
    for element in violation.proto.field.elements if violation.proto.field else ():
        parts.append(element.field_name)
    return FieldViolation(".".join(parts), violation.proto.message)
