"""What the supervisor keeps alive: anything that starts, is ready, ends, and can be started again."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections.abc import Callable
from typing import Protocol

from services.local.errors import LocalError

_FIRST_DELAY, _LAST_DELAY = 0.1, 10.0
_STEADY_SECONDS = 30.0


class Component(Protocol):
    """A process of the stack."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""

    async def start(self) -> None:
        """Start it and return when it is ready; raises LocalError when it does not become so."""

    async def stop(self) -> None:
        """Stop it in good order."""

    async def kill(self) -> None:
        """kill -9."""

    async def wait(self) -> int:
        """Wait for its end, for whatever reason, and return the exit code."""


class State(enum.Enum):
    """What a supervised component does at present."""

    PENDING = "not started"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting to restart"
    HELD = "held down"
    STOPPED = "stopped"


class Supervised:
    """Keeps one component alive: when it ends unasked, it is started again.

    The first restart follows after 0.1 s; each one after a start that did not last half a minute waits
    twice as long, up to 10 s.

    Args:
        name: shown to people.
        component: the process.
        address: `host:port` shown to people.
        changed: called after each change of state.
    """

    def __init__(
        self, name: str, component: Component, address: str, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.name = name
        self.component = component
        self.address = address
        self.restarts = 0
        self.problem = ""
        self.state = State.PENDING
        self._changed = changed
        self._started = 0.0
        self._ready = asyncio.Event()
        self._released = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    @property
    def uptime(self) -> float:
        """Seconds since the component became ready; 0 while it is not."""
        return time.monotonic() - self._started if self.state is State.READY else 0.0

    async def start(self) -> None:
        """Start the component and watch it from then on; raises LocalError when it does not become ready."""
        self._released.set()
        await self._start_once()
        self._watch = asyncio.create_task(self._keep_alive(), name=f"keep {self.name} alive")

    async def stop(self) -> None:
        """Stop watching, then stop the component."""
        await self._stop_watching()
        await self.component.stop()
        if self.state is not State.PENDING:
            self._enter(State.STOPPED)

    async def kill(self, *, restart: bool = True) -> None:
        """kill -9 the component; it is started again, or held down until `restart()` is called."""
        if not restart:
            self._released.clear()
        self._enter(State.WAITING)
        await self.component.kill()

    async def restart(self) -> None:
        """Stop it in good order if it runs, start it, and return when it is ready."""
        await self.stop()
        self.restarts += 1
        await self.start()

    async def ready(self) -> None:
        """Return when the component is ready: at once, or after its restart."""
        await self._ready.wait()

    async def _keep_alive(self) -> None:
        delay = _FIRST_DELAY
        while True:
            code = await self.component.wait()
            if time.monotonic() - self._started > _STEADY_SECONDS:
                delay = _FIRST_DELAY
            self.problem = f"ended with code {code}"
            self._enter(State.WAITING if self._released.is_set() else State.HELD)
            await self._released.wait()
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LAST_DELAY)
            self.restarts += 1
            # A start that fails leaves no process: the next turn waits longer.
            with contextlib.suppress(LocalError, OSError):
                await self._start_once()

    async def _start_once(self) -> None:
        self._enter(State.STARTING)
        try:
            await self.component.start()
        except (LocalError, OSError) as error:
            self.problem = str(error)
            self._enter(State.WAITING)
            raise
        self._started = time.monotonic()
        self._enter(State.READY)

    async def _stop_watching(self) -> None:
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None

    def _enter(self, state: State) -> None:
        self.state = state
        if state is State.READY:
            self.problem = ""
            self._ready.set()
        else:
            self._ready.clear()
        self._changed()
