"""The table on the terminal, `build/bench.json`, and docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.rounds import Result

HEAD = """# Benchmarks

Written by `make bench`, which measures each path of the suite beside the bare limit of the same machine in
the same run: rounds in turn, the ratio of each round, then the median of the ratios. Absolute figures swing
with the machine; ratios hold.

Measured on {when}: {cores} cores, {system}, Python {python}. Reproduce: `make bench`.

| name | ours | bare | unit | ratio (median) | seen | target | held |
|---|--:|--:|---|--:|---|--:|---|
"""


def figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def show(results: Sequence[Result], console: Console) -> None:
    """Prints the table."""
    table = Table(title="suite beside the bare limit", title_justify="left")
    for column, justify in (
        ("name", "left"),
        ("ours", "right"),
        ("bare", "right"),
        ("unit", "left"),
        ("ratio", "right"),
        ("seen", "left"),
        ("target", "right"),
        ("", "left"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for result in results:
        table.add_row(
            result.name,
            figure(result.ours),
            figure(result.bare),
            result.unit,
            figure(result.ratio),
            f"{figure(result.lowest)}-{figure(result.highest)}",
            figure(result.target),
            "held" if result.held else "missed",
        )
    console.print(table)


def write(results: Sequence[Result], document: Path, machine_readable: Path) -> None:
    """Writes both files whole."""
    machine_readable.parent.mkdir(parents=True, exist_ok=True)
    machine_readable.write_text(json.dumps([result.as_json() for result in results], indent=2) + "\n")
    lines = [
        HEAD.format(
            when=datetime.now(UTC).date().isoformat(),
            cores=os.cpu_count(),
            system=platform.machine(),
            python=platform.python_version(),
        )
    ]
    lines += [
        f"| `{r.name}` | {figure(r.ours)} | {figure(r.bare)} | {r.unit} | {figure(r.ratio)} | "
        f"{figure(r.lowest)}–{figure(r.highest)}, "
        f"{r.rounds} rounds | {figure(r.target)} | {'yes' if r.held else 'no'} |\n"
        for r in results
    ]
    lines.append("\n## What each compares\n\n")
    for r in results:
        parts = "; ".join(f"{name} {figure(value)}" for name, value in r.parts.items())
        lines.append(f"- `{r.name}`: {r.about}{f' Parts: {parts}.' if parts else ''}\n")
    profile = document.with_name("profile.md")
    if profile.exists():
        lines.append("\nWhere the time goes: [profile](profile.md).\n")
    document.write_text("".join(lines))
