"""How records are shown."""

from __future__ import annotations

from collections.abc import Iterable

from idv.types.v1 import processing_pb2
from rich.table import Table

from services.cli.messages import name_of, shown_time
from services.cli.output import rows_table

_SOURCES = processing_pb2.Source.DESCRIPTOR
_STATES = processing_pb2.RecordState.DESCRIPTOR


def size(count: int) -> str:
    """A number of bytes for people."""
    if count < 1024:
        return f"{count} B"
    kibibytes = count / 1024
    return f"{kibibytes:.1f} KiB" if kibibytes < 1024 else f"{kibibytes / 1024:.1f} MiB"


def records_table(records: Iterable[processing_pb2.Record], title: str = "") -> Table:
    """What is known of records without opening them."""
    rows = [
        (
            record.name,
            record.category,
            name_of(_SOURCES, record.source),
            shown_time(record.receive_time),
            shown_time(record.expire_time),
            size(record.size_bytes),
            name_of(_STATES, record.state),
        )
        for record in records
    ]
    return rows_table(("Record", "Category", "Source", "Received", "Ends", "Size", "State"), rows, title)
