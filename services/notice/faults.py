"""What is wrong with a notice: every fault at once, each with its place, reason and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a version of the notice."""

    file: str
    """File of the version's folder: `terms.yaml`, `text.en.md`."""
    line: int | None
    """Line in that file, from 1; None when the fault is of the file as a whole."""
    field: str
    """Path inside the file, such as `items[3].sources[0]`; empty for the file as a whole."""
    reason: str
    remedy: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        field = f" {self.field}:" if self.field else ""
        return f"{place}:{field} {self.reason}. {self.remedy}."


class InvalidNoticeError(Exception):
    """Raised for a version that breaks the rules of docs/notices.md; `faults` lists every one, by file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def refuse(faults: Sequence[Fault]) -> None:
    """Raises InvalidNoticeError when there is any fault."""
    if faults:
        raise InvalidNoticeError(faults)
