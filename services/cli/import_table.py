"""A table of Customers from a file, its faults told by line: those found here, and the service's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from idv.errors import FieldViolation, IdvError, Reason

from services.cli.failure import usage
from services.notice.accounts import table
from services.notice.accounts.table import InvalidTableError, Row, TableFault
from services.notice.catalogue import catalogue

_PLACE = re.compile(r"customers\[(\d+)\]\.(\w+)")


def read_table(file: Path) -> tuple[list[Row], bytes]:
    """The Customers of a file, and its content. Raises IdvError with every fault by line."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise usage(f"{file} cannot be read: {error.strerror}", "name a readable CSV file") from error
    optional = {code for code, item in catalogue().items() if item.optional}
    try:
        return table.read(content, optional), content
    except InvalidTableError as error:
        raise _refused(file, error.faults) from None


@contextmanager
def told_by_line(file: Path, rows: Sequence[Row]) -> Iterator[None]:
    """Tells faults that the service finds by the line of the file, as those that are found here."""
    try:
        yield
    except IdvError as error:
        found = [_at_its_line(one, rows) for one in error.violations if _PLACE.fullmatch(one.field)]
        if not found:
            raise
        raise _refused(file, found) from error


def _at_its_line(violation: FieldViolation, rows: Sequence[Row]) -> TableFault:
    place = _PLACE.fullmatch(violation.field)
    index, field = (int(place[1]), place[2]) if place else (0, "")
    return TableFault(rows[index].line, table.column_of(field), violation.description)


def _refused(file: Path, faults: Sequence[TableFault]) -> IdvError:
    told = f"has {len(faults)} faults" if len(faults) > 1 else f"{faults[0]}"
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        f"{file} {told}, and nothing was registered",
        remedy="correct each, and import the whole table again",
        violations=[FieldViolation(f"line {one.line} {one.column}".strip(), one.reason) for one in faults],
    )
