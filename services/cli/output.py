"""What a command prints: tables for people, the same as JSON for programs, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text


def console() -> Console:
    """The console of standard output."""
    return Console(file=sys.stdout, highlight=False)


def errors_console() -> Console:
    """The console of standard error: failures, hints and progress."""
    return Console(file=sys.stderr, highlight=False)


def hint(text: str) -> None:
    """A line for the person at the terminal, beside the answer: on standard error."""
    errors_console().print(Text(text, "dim"), soft_wrap=True)


def print_json(value: Any) -> None:
    """The answer as JSON on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def facts_table(facts: Mapping[str, RenderableType | None]) -> Table:
    """Names and values side by side; a value of None is left out."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value is not None:
            table.add_row(name, value)
    return table


def rows_table(columns: Sequence[str], rows: Sequence[Sequence[RenderableType]], title: str = "") -> Table:
    """A table with a heading. Ids fold instead of losing their ends."""
    table = Table(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False
    )
    for column in columns:
        table.add_column(column, overflow="fold", header_style="bold")
    for row in rows:
        table.add_row(*row)
    return table


class Output:
    """Prints one answer in the form the user asked for."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def answer(self, value: Any, *people: RenderableType) -> None:
        """Prints `value` as JSON, or for people what follows it."""
        if self.as_json:
            print_json(value)
            return
        for part in people:
            console().print(part, soft_wrap=isinstance(part, str | Text))


def byte_progress() -> Progress:
    """A progress bar in bytes on standard error; silent where that is no terminal."""
    target = errors_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=target,
        disable=not target.is_terminal,
        transient=True,
    )
