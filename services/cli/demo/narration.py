"""What the demonstration prints while it runs: chapters, one line for each step, and the table at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.align import Align
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

PROMISES = {
    "P1": "Processor only",
    "P2": "Nothing undisclosed",
    "P3": "30 days, never longer",
    "P4": "Deletion on request",
    "P5": "End users are never served directly",
    "P6": "Rights through the Customer",
    "P7": "Notice versions",
    "P8": "Material changes are told before they take effect",
    "P9": "Proof",
    "P10": "Nothing lost, nothing leaked",
}
"""The promises that the run shows, in few words."""
WIDTH = 100
"""Columns the run is laid out for, on wider terminals too."""


class Narration:
    """Tells the run to a console, or to nobody."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def opening(self, folder: str) -> None:
        """What is about to happen."""
        self._console.print()
        self._console.print(
            Text("idv demo", "bold cyan"), Text("every promise of the notice, kept and proven", "bold")
        )
        self._console.print(
            Text(
                f"Real PostgreSQL, real S3, real mail, four services on loopback, all below {folder}.", "dim"
            )
        )

    def started(self, seconds: float, what: str) -> None:
        """That the services run."""
        self._console.print(Text.assemble(("● ", "green"), what, (f"  {seconds:.1f} s", "dim")))

    def chapter(self, number: int, title: str, story: str) -> None:
        """A chapter's heading and its two sentences."""
        self._console.print()
        self._console.print(Rule(Text(f" {number} · {title} ", "bold cyan"), align="left", style="cyan"))
        self._console.print(Padding(Text(story, "dim"), (0, 0, 1, 2)))

    @contextmanager
    def working(self, title: str) -> Iterator[None]:
        """A spinner while a step is at work; nothing where no terminal is."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(Text(title, "dim"), spinner="dots"):
            yield

    def step(self, promise: str, title: str, ok: bool, evidence: str) -> None:
        """One step: whether it was as promised, what it showed, and the evidence."""
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=3, justify="right")
        row.add_column(width=3)
        row.add_column(ratio=9)
        row.add_column(ratio=11)
        row.add_row(
            _mark(ok), Text(promise, "cyan"), Text(title), Text(evidence, "dim" if ok else "bold red")
        )
        self._console.print(row)

    def ending(self, rows: Sequence[tuple[str, str, bool, str]], seconds: float) -> None:
        """The table of what was shown for each promise, and the verdict."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), expand=True, header_style="bold")
        table.add_column("Promise", width=7)
        table.add_column("What was shown", ratio=9)
        table.add_column("Evidence", ratio=11, style="dim")
        for promise, title in PROMISES.items():
            steps = [row for row in rows if row[0] == promise]
            if steps:
                table.add_row(Text(promise, "bold cyan"), Text(title, "bold cyan"), _count(steps))
            for _, shown, ok, evidence in steps:
                table.add_row(Align.right(_mark(ok)), shown, evidence)
            table.add_section()
        self._console.print()
        self._console.print(table)
        failed = sum(not ok for _, _, ok, _ in rows)
        kept = Text.assemble(("✓ ", "bold green"), (f"All {len(rows)} steps were as promised", "bold"))
        broken = Text.assemble(
            ("✗ ", "bold red"), (f"{failed} of {len(rows)} steps were not as promised", "bold red")
        )
        self._console.print(Text.assemble(broken if failed else kept, (f"  in {seconds:.0f} s", "dim")))

    def note(self, text: str) -> None:
        """A line beside the run."""
        self._console.print(Text(text, "dim"))


def _count(steps: Sequence[tuple[str, str, bool, str]]) -> Text:
    kept = sum(ok for _, _, ok, _ in steps)
    return Text(f"{kept} of {len(steps)} as promised", "bold" if kept == len(steps) else "bold red")


def _mark(ok: bool) -> Text:
    return Text("✓", "bold green") if ok else Text("✗", "bold red")
