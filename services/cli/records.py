"""How records and their readings are shown: a line of facts, then the name, whole, to be copied."""

from __future__ import annotations

from collections.abc import Sequence

from idv.types.v1 import processing_pb2
from rich.text import Text

from services.cli.messages import name_of, shown_time

_SOURCES = processing_pb2.Source.DESCRIPTOR
_STATES = processing_pb2.RecordState.DESCRIPTOR
_FLAGS = processing_pb2.AccessFlag.DESCRIPTOR
_PURPOSES = processing_pb2.Purpose.DESCRIPTOR


def size(count: int) -> str:
    """A number of bytes for people."""
    if count < 1024:
        return f"{count} B"
    kibibytes = count / 1024
    return f"{kibibytes:.1f} KiB" if kibibytes < 1024 else f"{kibibytes / 1024:.1f} MiB"


def records_shown(records: Sequence[processing_pb2.Record]) -> list[Text]:
    """What is known of records without opening them."""
    rows = [
        (
            record.category,
            f"from {name_of(_SOURCES, record.source)}",
            size(record.size_bytes),
            name_of(_STATES, record.state),
            f"received {shown_time(record.receive_time)}",
            f"ends {shown_time(record.expire_time)}",
        )
        for record in records
    ]
    return _listed("record", rows, [record.name for record in records])


def accesses_shown(accesses: Sequence[processing_pb2.Access]) -> list[Text]:
    """Who saw which record, when, why, and what is remarkable about it."""
    rows = [
        (
            shown_time(one.access_time),
            one.service,
            f"for {name_of(_PURPOSES, one.purpose).replace('_', ' ')}",
            f"by {one.person}, {one.ticket}" if one.person else "",
            _how(one),
            ", ".join(name_of(_FLAGS, flag).replace("_", " ") for flag in one.flags),
        )
        for one in accesses
    ]
    return _listed("access", rows, [one.record or one.session for one in accesses], "accesses")


def counted(count: int, noun: str, nouns: str = "") -> str:
    """`1 record`, `7 records`; `nouns` where the plural is not made by an s."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"


def _how(access: processing_pb2.Access) -> str:
    if access.kind == processing_pb2.ACCESS_KIND_LIST:
        return f"{counted(access.record_count, 'record')} listed" if access.record_count else "session opened"
    if access.kind == processing_pb2.ACCESS_KIND_DESCRIBE:
        return "described"
    return "read" if access.complete else "read, not to its end"


def _listed(noun: str, rows: Sequence[Sequence[str]], names: Sequence[str], nouns: str = "") -> list[Text]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, name in zip(rows, names, strict=True):
        facts = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        lines.append(Text.assemble((facts.rstrip(), "bold"), "\n  ", (name, "cyan")))
    return [*lines, Text(counted(len(rows), noun, nouns), "dim")]
