"""Customers as a CSV table (RFC 4180): read with every fault by its line, written so that it reads again."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from idv.notice.v1 import customers_pb2 as pb

from services.notice.accounts.customer import Account, faults, normal_email

COLUMNS = (
    *("id", "display_name", "email", "language", "region", "time_zone", "optional_items", "webhook_uri"),
    "state",
)
"""The columns, in the order in which they are written. Optional items stand in one cell, between spaces."""
REQUIRED = ("id", "display_name", "email")
MAX_ROWS = 5000
MAX_CHARACTERS = 3 << 20

_STATES = {
    "active": pb.CUSTOMER_STATE_ACTIVE,
    "suspended": pb.CUSTOMER_STATE_SUSPENDED,
    "offboarded": pb.CUSTOMER_STATE_OFFBOARDED,
}


class TableFault(NamedTuple):
    """One thing that is wrong with a table."""

    line: int
    """Line of the file, from 1, on which the row begins."""
    column: str
    """Empty for the row as a whole."""
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}{f' {self.column}' if self.column else ''}: {self.reason}"


class InvalidTableError(Exception):
    """Raised for a table that cannot be imported; `faults` lists everything, by line."""

    def __init__(self, found: Sequence[TableFault]) -> None:
        self.faults = tuple(sorted(found))
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True, slots=True)
class Row:
    """One Customer of a table."""

    line: int
    account: Account


def read(content: bytes, optional: Collection[str]) -> list[Row]:
    """The Customers of a table. Raises InvalidTableError with every fault found.

    UTF-8, with or without a byte order mark; the first line names the columns, in any order.
    """
    reader = csv.reader(io.StringIO(_text(content), newline=""), strict=True)
    rows = list(_rows(reader))
    if not rows:
        raise InvalidTableError([TableFault(1, "", "the table is empty: the first line names the columns")])
    header = [name.strip() for name in rows[0][1]]
    _refuse(list(_header_faults(header)))
    found: list[TableFault] = []
    read_rows: list[Row] = []
    seen: dict[str, int] = {}
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            found.append(TableFault(line, "", f"{len(cells)} cells, and {len(header)} columns"))
            continue
        values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        account = _account(values)
        found += _row_faults(line, values, account, optional)
        if account.tenant in seen:
            found.append(TableFault(line, "id", f"it stands on line {seen[account.tenant]} already"))
        seen.setdefault(account.tenant, line)
        read_rows.append(Row(line, account))
    if not read_rows and not found:
        found.append(TableFault(1, "", "no Customer follows the names of the columns"))
    if len(read_rows) > MAX_ROWS:
        found.append(
            TableFault(read_rows[MAX_ROWS].line, "", f"more than {MAX_ROWS} Customers: split the file")
        )
    _refuse(found)
    return read_rows


def write(accounts: Iterable[Account]) -> str:
    """The table of these Customers."""
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(COLUMNS)
    names = {number: name for name, number in _STATES.items()}
    for account in accounts:
        cells = [account.tenant, account.display_name, account.email, account.language, account.region]
        items = " ".join(account.optional_items)
        writer.writerow([*cells, account.time_zone, items, account.webhook_uri, names[account.state]])
    return target.getvalue()


def column_of(field: str) -> str:
    """The column of a field of the contract."""
    return "id" if field == "name" else field


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidTableError([TableFault(line, "", "it is not UTF-8: save the table as UTF-8")]) from None
    if len(text) > MAX_CHARACTERS:
        raise InvalidTableError([TableFault(1, "", "the table is larger than 3 MiB: split the file")])
    return text


def _rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line on which it begins."""
    begin = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begin, cells
            begin = reader.line_num + 1  # type: ignore[attr-defined]  # it is csv's own reader
    except csv.Error as error:
        reason = f"it cannot be read as CSV from here on ({error})"
        raise InvalidTableError([TableFault(begin, "", reason)]) from None


def _header_faults(header: Sequence[str]) -> Iterator[TableFault]:
    for name in sorted({name for name in header if header.count(name) > 1}):
        yield TableFault(1, name, "the column stands there twice")
    for name in header:
        if name not in COLUMNS:
            yield TableFault(1, "", f"there is no column of this name; there are {', '.join(COLUMNS)}")
    for name in REQUIRED:
        if name not in header:
            yield TableFault(1, name, "the column is missing")


def _account(values: dict[str, str]) -> Account:
    return Account(
        tenant=values["id"],
        display_name=values["display_name"],
        email=normal_email(values["email"]),
        language=values.get("language") or "en",
        region=values.get("region", ""),
        time_zone=values.get("time_zone") or "UTC",
        optional_items=tuple(values.get("optional_items", "").split()),
        webhook_uri=values.get("webhook_uri", ""),
    )


def _row_faults(
    line: int, values: dict[str, str], account: Account, optional: Collection[str]
) -> Iterator[TableFault]:
    for fault in faults(account, optional):
        yield TableFault(line, column_of(fault.field), fault.reason)
    if values.get("state", "") not in ("", "active"):
        yield TableFault(
            line, "state", "a Customer is registered as active: leave it empty, and suspend it after"
        )


def _refuse(found: Sequence[TableFault]) -> None:
    if found:
        raise InvalidTableError(found)
