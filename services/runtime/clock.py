"""The time of the application: injected everywhere, so that no rule asks the machine and no test waits.

TLS and the monotonic timers of the event loop keep real time.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)


class TravelClock:
    """The clock of the machine, moved by the offset in a file that every local process shares.

    The file holds `{"offset_seconds": float}`; `travel` writes it. A missing file means no offset. An
    unreadable one keeps the last offset. Only a local environment may use it: settings refuse it elsewhere.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._offset = timedelta()

    def now(self) -> datetime:
        """The present instant plus the offset, aware, in UTC; the file is looked at for each call."""
        return datetime.now(UTC) + self.offset()

    def offset(self) -> timedelta:
        """How far the file moves every clock of the environment."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen, self._offset = None, timedelta()
        else:
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._seen:
                self._read(stamp)
        return self._offset

    def _read(self, stamp: tuple[int, int, int]) -> None:
        try:
            seconds = json.loads(self._path.read_bytes())["offset_seconds"]
            self._offset = timedelta(seconds=float(seconds))
        except (OSError, ValueError, KeyError, TypeError):
            return  # replaced under our hands, or written by hand and wrong: the last offset stands
        self._seen = stamp


def travel(path: Path, offset: timedelta) -> None:
    """Moves the clock of every process that reads `path` to `offset` from real time, in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"offset_seconds": offset.total_seconds()}), encoding="utf-8")
    draft.replace(path)
