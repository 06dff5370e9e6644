"""What is known of the call that runs now: its deadline, its trace, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TRACEPARENT = "traceparent"
"""The metadata key of the W3C trace context."""


class RunningCall:
    """The state of one call. `deadline` is on the event loop's clock, already shaved; None for a call
    without end.
    """

    __slots__ = ("deadline", "traceparent", "waiting_for")

    def __init__(self, deadline: float | None, traceparent: str | None = None) -> None:
        self.deadline = deadline
        self.traceparent = traceparent
        self.waiting_for: str | None = None


_running: ContextVar[RunningCall | None] = ContextVar("idv_running_call", default=None)


def enter(call: RunningCall) -> None:
    """Makes `call` the running call of this task and of the tasks it starts."""
    _running.set(call)


def running_call() -> RunningCall | None:
    """The call that runs now; None outside of any, as in a periodic job."""
    return _running.get()


def remaining() -> float | None:
    """Seconds until the running call must answer, at least 0; None when nothing limits it."""
    call = _running.get()
    if call is None or call.deadline is None:
        return None
    return max(0.0, call.deadline - asyncio.get_running_loop().time())


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Names what the running call waits for, so that a passed deadline can say it."""
    call = _running.get()
    if call is None:
        yield
        return
    outer, call.waiting_for = call.waiting_for, what
    yield
    call.waiting_for = outer  # kept when the block fails: that is the moment it is asked for


def is_sampled(traceparent: str) -> bool:
    """Whether a W3C trace context (`00-trace-span-flags`) says that its trace is recorded."""
    flags = traceparent.rpartition("-")[2]
    try:
        return bool(int(flags, 16) & 1)
    except ValueError:
        return False


def shaved(seconds: float) -> float:
    """How long a method may work when its caller waits `seconds`: 5 % less, at most 100 ms, so that the
    answer can name the cause.
    """
    return seconds - min(0.1, seconds * 0.05)
