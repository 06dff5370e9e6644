"""One child process: started in its own group, bound to the life of its parent, stopped as a group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

_LAUNCHER = str(Path(__file__).with_name("launch.py"))

Unprivileged = Literal["namespace", "nobody"]


class Process:
    """A program with its log file. Start it again after it ended; the log is appended to.

    The kernel signals the program when the *thread* that started it ends: start it from the event loop's
    thread.

    Args:
        argv: program and arguments.
        log: file that receives both output streams; its folder must exist.
        death_signal: what the program receives if this process dies without stopping it.
        unprivileged: how to step down from uid 0 first (see `launch`); None keeps the account.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        unprivileged: Unprivileged | None = None,
    ) -> None:
        self.argv = list(argv)
        self.log = log
        self._cwd = cwd
        self._env = env
        self._death_signal = death_signal
        self._unprivileged = unprivileged
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the latest start; None before the first."""
        return self._child.pid if self._child else None

    @property
    def returncode(self) -> int | None:
        """Exit code of the latest start; None while it runs."""
        return self._child.returncode if self._child else None

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    async def start(self, pass_fds: Sequence[int] = (), *, stdin: int = asyncio.subprocess.DEVNULL) -> None:
        """Start the program. File descriptors in `pass_fds` stay open in it under their numbers."""
        options = ["--parent", str(os.getpid()), "--death-signal", self._death_signal.name]
        if self._unprivileged:
            options += ["--unprivileged", self._unprivileged]
        with self.log.open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", _LAUNCHER, *options, "--", *self.argv),
                stdin=stdin,
                stdout=output,
                stderr=output,
                cwd=self._cwd,
                env=self._env,
                start_new_session=True,
                pass_fds=tuple(pass_fds),
            )

    async def wait(self) -> int:
        """Wait for the end and return the exit code (negative: the signal that ended it)."""
        if self._child is None:
            raise RuntimeError(f"{self.argv[0]} was never started")
        return await self._child.wait()

    def send(self, which: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the program, or to its whole process group; nothing happens if it has ended."""
        if not self.running or self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, which)

    async def stop(self, which: signal.Signals = signal.SIGTERM, grace_seconds: float = 10) -> None:
        """Ask the program to end, and end its whole group by force after `grace_seconds`."""
        if not self.running:
            return
        self.send(which)
        try:
            await asyncio.wait_for(self.wait(), grace_seconds)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End the whole process group at once (SIGKILL) and wait for it."""
        if not self.running:
            return
        self.send(signal.SIGKILL, group=True)
        await self.wait()

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of the log, for an error message."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""
