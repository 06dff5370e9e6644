"""What a simulation found: how late each thing was, and for how much of that no replica ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Lateness:
    """How long after the end of the first record's term one kind of thing happened."""

    kind: str
    bound: str
    total: list[float] = field(default_factory=list)
    running: list[float] = field(default_factory=list)
    """The same in seconds during which at least one replica ran."""

    def note(self, end: datetime, done: datetime, away: timedelta) -> None:
        """Something was done then that ended at `end`; for `away` of the time in between nothing ran."""
        self.total.append((done - end).total_seconds())
        self.running.append((done - end - away).total_seconds())

    @property
    def worst(self) -> float:
        """Seconds."""
        return max(self.total, default=0.0)

    @property
    def worst_while_running(self) -> float:
        """Seconds."""
        return max(self.running, default=0.0)

    def row(self) -> str:
        """A row of the table."""
        numbers = f"{len(self.total):>6} {_span(self.worst_while_running):>12} {_span(self.worst):>12}"
        return f"{self.kind:<16} {numbers}   {self.bound}"


@dataclass
class Findings:
    """Everything that the simulation counted."""

    unreadable: Lateness = field(default_factory=lambda: Lateness("unreadable", "0 s"))
    keys: Lateness = field(default_factory=lambda: Lateness("key destroyed", "1 h"))
    days: Lateness = field(default_factory=lambda: Lateness("bytes gone", "27 h"))
    destroyed: dict[tuple[str, int | None], datetime] = field(default_factory=dict)
    """By day, and slot or None for the day's bytes: when it was first seen to be so."""
    logged: dict[tuple[str, int | None], datetime] = field(default_factory=dict)
    """The same, as the log's leaves say."""
    lateness_logged: list[float] = field(default_factory=list)
    """Seconds between due and done of each leaf."""
    records: int = 0
    outages: int = 0
    jumps: int = 0
    pauses: int = 0
    kills: int = 0
    joined: int = 0

    def table(self) -> list[str]:
        """The figures, a line each."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        yield (
            f"expiry of {self.records} records: {self.joined} replicas came, {self.kills} were killed;"
            f" {self.pauses} pauses, {self.jumps} jumps of the clock, {self.outages} times none ran"
        )
        yield f"{'':<16} {'count':>6} {'one running':>12} {'worst of all':>12}   promised"
        for each in (self.unreadable, self.keys, self.days):
            yield each.row()
        late = [seconds for seconds in self.lateness_logged if seconds > 2700]
        latest = _span(max(late, default=0.0))
        yield f"logged as late: {len(late)} of {len(self.lateness_logged)}, the latest by {latest}"


def _span(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    parts = ((hours, "h"), (rest // 60, "min"), (rest % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
