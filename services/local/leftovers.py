"""Processes of an earlier run that was killed before it could stop them.

A process is only ended when its record says beyond doubt that it is ours: the pid with the start time
that the kernel reports, or PostgreSQL's own pid file together with the data directory on the command
line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

from services.local.files import write_private

_WAIT_SECONDS = 10.0


def start_time(pid: int) -> int | None:
    """When the kernel started this process, in clock ticks since boot; None if there is none.

    A pid alone is no name: it is given to another process after its first owner has ended. With this
    number it is one.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name in parentheses may itself contain spaces
    state, threads, started = fields[0], int(fields[17]), int(fields[19])
    # A killed process whose other threads still end holds its ports and files yet.
    return None if state in {"Z", "X"} and threads <= 1 else started


def record(path: Path, pid: int | None) -> None:
    """Write down a process that was just started, for the run after a crash."""
    if pid is not None:
        write_private(path, json.dumps({"pid": pid, "start_time": start_time(pid)}))


def forget(path: Path) -> None:
    """Remove the record of a process that has ended."""
    path.unlink(missing_ok=True)


def recorded(path: Path) -> int | None:
    """The recorded pid if it is still the very process that was recorded, else None."""
    try:
        entry = json.loads(path.read_text())
        pid, started = int(entry["pid"]), int(entry["start_time"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return pid if start_time(pid) == started else None


async def end_recorded(path: Path) -> None:
    """End the recorded process and its group, if it is still the very one; remove the record."""
    pid = recorded(path)
    if pid is not None:
        await end_process(pid, signal.SIGKILL, group=True)
    forget(path)


async def end_process(pid: int, which: signal.Signals, *, group: bool = False) -> None:
    """Signal a process that is no child of ours and wait until it is gone; SIGKILL after ten seconds."""
    started = start_time(pid)
    if started is None:
        return
    send = os.killpg if group else os.kill
    deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
    with contextlib.suppress(ProcessLookupError):
        send(pid, which)
        while start_time(pid) == started:
            if asyncio.get_running_loop().time() > deadline:
                send(pid, signal.SIGKILL)
            await asyncio.sleep(0.05)


async def end_leftover_postgres(data: Path) -> None:
    """Stop a server that still runs on this data directory, and remove a pid file that names a stranger."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    if str(data) in _command_line(pid):
        await end_process(pid, signal.SIGQUIT)
    elif start_time(pid) is not None:
        # The number was given to another program meanwhile; PostgreSQL would take that for a running server.
        pid_file.unlink(missing_ok=True)


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
