"""What a deletion is of: from the contract to an object that is sealed and committed to, and on to storage.

The object has one key: `{"subject": "…"}`, `{"received": {"start_time": "…", "end_time": "…"}}`,
`{"everything": "true"}`, or `{"targets": {"0": {"record": "…"}, "1": {"subject": "…"}}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb
from idv.storage.v1 import storage_pb2

from services.retention.entries import instant
from services.runtime.resources import owner_of, parse_customer, parse_record, parse_session

Target = Mapping[str, Any]
MANY: Final = 500
"""Targets of one deletion at most."""
WIDE: Final = frozenset({"category", "received", "everything", "targets"})
"""Kinds that may take long."""
_KINDS: Final = {
    "records": "record",
    "sessions": "session",
    "subjects": "subject",
    "categories": "category",
}

_CORRECTED: Final = "corrected"


class Part(NamedTuple):
    """One target of a deletion: its kind, its place among those of its kind, and itself."""

    scope: str
    place: int
    target: Target


def parse(parent: str, asked: pb.DeletionTarget) -> dict[str, Any]:
    """The object. Raises WRONG_TENANT, or INVALID_ARGUMENT about the field that is wrong."""
    kind = asked.WhichOneof("target") or ""
    if kind == "targets":
        return {kind: _several(parent, asked.targets)}
    if kind == "received":
        return {kind: _range(asked.received)}
    if kind == "everything":
        return {kind: "true"}
    value = getattr(asked, kind)
    _check_name(parent, kind, value, f"target.{kind}")
    return {kind: value}


def corrected(record: str) -> Target:
    """A record that a correction takes the place of: storage erases it in that, and not otherwise."""
    return {"record": record, _CORRECTED: "true"}


def unmarked(target: Target) -> tuple[Target, bool]:
    """What is to be erased, and whether a correction does it."""
    return {kind: value for kind, value in target.items() if kind != _CORRECTED}, _CORRECTED in target


def parts(target: Target) -> list[Part]:
    """The targets that the object holds: itself, or each of several."""
    ((kind, value),) = target.items()
    if kind != "targets":
        return [Part(kind, 0, target)]
    found: list[Part] = []
    for place in range(len(value)):
        one = value[str(place)]
        scope = next(iter(one))
        found.append(Part(scope, sum(part.scope == scope for part in found), one))
    return found


def erasure_id(deletion: UUID, target: Target, place: int) -> UUID:
    """The id under which storage erases one of a deletion's targets, always the same."""
    return uuid5(deletion, str(place)) if "targets" in target else deletion


def for_storage(target: Target) -> storage_pb2.ErasureTarget:
    """A single target as storage takes it."""
    ((kind, value),) = target.items()
    made = storage_pb2.ErasureTarget()
    if kind == "received":
        made.received.start_time.FromJsonString(value["start_time"])
        made.received.end_time.FromJsonString(value["end_time"])
    elif kind == "everything":
        made.everything = True
    else:
        setattr(made, kind, value)
    return made


def check_owner(parent: str, name: str, field: str) -> None:
    """Raises WRONG_TENANT unless `name` lies below `parent`, INVALID_ARGUMENT if it is no resource name."""
    if owner_of(name, field=field).customer != parse_customer(parent, field="parent"):
        raise IdvError(Reason.ERROR_REASON_WRONG_TENANT, f"{field} belongs to another Customer", field=field)


def _several(parent: str, asked: pb.DeletionTargets) -> dict[str, dict[str, str]]:
    found: list[dict[str, str]] = []
    for field, kind in _KINDS.items():
        for value in getattr(asked, field):
            _check_name(parent, kind, value, f"target.targets.{field}")
            found.append({kind: value})
    if not 1 <= len(found) <= MANY:
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            f"a deletion has 1 to {MANY} targets, not {len(found)}",
            field="target.targets",
            remedy="ask in several deletions, each with its own request id",
        )
    return {str(place): one for place, one in enumerate(found)}


def _check_name(parent: str, kind: str, value: str, field: str) -> None:
    if kind == "record":
        check_owner(parent, value, field)
        parse_record(value, field=field)
    elif kind == "session":
        check_owner(parent, value, field)
        parse_session(value, field=field)


def _range(asked: pb.TimeRange) -> dict[str, str]:
    return {"start_time": _instant(asked.start_time), "end_time": _instant(asked.end_time)}


def _instant(stamp: Timestamp) -> str:
    try:
        return instant(stamp.ToDatetime(UTC))
    except (ValueError, OverflowError):
        raise IdvError(
            Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
            "the range names an instant that is none",
            field="target.received",
            remedy="give instants of the years 1 to 9999",
        ) from None
