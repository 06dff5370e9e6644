"""What a person sees while the stack runs: a live table on a terminal, one line for each change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import IO

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.local.component import State, Supervised

_LOOKS: Mapping[State, tuple[str, str]] = {
    State.PENDING: ("·", "dim"),
    State.STARTING: ("◐", "yellow"),
    State.READY: ("●", "green"),
    State.WAITING: ("◌", "yellow"),
    State.HELD: ("■", "red"),
    State.STOPPED: ("○", "dim"),
}
_REFRESH_PER_SECOND = 4


class Screen:
    """Shows processes and the addresses that matter to a person; `with Screen(...) as screen:`.

    `changed` is to be called after a change of state: `LocalStack(changed=screen.changed)`.

    Args:
        output: default standard error, so that standard output stays free for what a program reads.
        title: the first line.
    """

    def __init__(self, output: IO[str] | None = None, *, title: str = "idv local stack") -> None:
        self._console = Console(file=output or sys.stderr, highlight=False)
        self._title = title
        self._processes: Mapping[str, Supervised] = {}
        self._facts: list[tuple[str, str]] = []
        self._shown: dict[str, str] = {}
        self._live: Live | None = None

    def watch(self, processes: Mapping[str, Supervised]) -> None:
        """Show these processes; the mapping may grow."""
        self._processes = processes

    def tell(self, facts: Iterable[tuple[str, str]]) -> None:
        """Show these names and values below the table, or print them where there is no terminal."""
        self._facts = list(facts)
        if self._live is None:
            for name, value in self._facts:
                self._console.print(f"{name}: {value}", soft_wrap=True)

    def changed(self) -> None:
        """Print one line for each process whose state is another one; a terminal refreshes by itself."""
        if self._live is not None:
            return
        for name, process in list(self._processes.items()):
            if process.state is State.PENDING:
                continue
            line = f"{name} {process.state.value}"
            line += f", pid {process.component.pid}" if process.state is State.READY else ""
            line += f": {process.problem}" if process.problem else ""
            if self._shown.get(name) != line:
                self._shown[name] = line
                self._console.print(line, soft_wrap=True)

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=_REFRESH_PER_SECOND,
                transient=False,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        for heading in ("process", "state", "address"):
            table.add_column(heading)
        for heading in ("pid", "up", "restarts"):
            table.add_column(heading, justify="right")
        for process in self._processes.values():
            table.add_row(*_row(process))
        facts = Table.grid(padding=(0, 3, 0, 0))
        for name, value in self._facts:
            facts.add_row(Text(name, style="dim"), Text(value))
        ready = bool(self._facts) and all(each.state is State.READY for each in self._processes.values())
        headline = Text(self._title, style="bold").append(
            "  ready · Ctrl-C stops everything" if ready else "  starting …" if not self._facts else "",
            style="green" if ready else "yellow",
        )
        return Group(headline, Padding(table, (1, 0)), facts)


def _row(process: Supervised) -> list[Text]:
    sign, colour = _LOOKS[process.state]
    state = Text(f"{sign} {process.state.value}", style=colour)
    if process.problem:
        state.append(f": {process.problem.splitlines()[0][:60]}", style="dim")
    pid = process.component.pid
    return [
        Text(process.name, style="bold"),
        state,
        Text(process.address),
        Text(str(pid) if pid else "–"),
        Text(duration(process.uptime) if process.state is State.READY else "–"),
        Text(str(process.restarts), style="red" if process.restarts else "dim"),
    ]


def duration(seconds: float) -> str:
    """A short reading of a span: `7s`, `4m 07s`, `3h 04m`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole // 60 % 60:02d}m"
