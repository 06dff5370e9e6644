"""What is known of the call that runs now: its deadline, its trace, and what it waits for."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TRACEPARENT = "traceparent"
"""The metadata key of the W3C trace context."""
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class RunningCall:
    """The state of one call. `deadline` is on the event loop's clock, already shaved; None: without end."""

    __slots__ = ("_traceparent", "deadline", "ended", "is_feed", "waiting_for")

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.waiting_for: str | None = None
        self.ended = False
        self.is_feed = deadline is None
        self._traceparent: str | None = None

    def end(self) -> None:
        """Says that the call was answered: a task that it started and that lives on is no part of it."""
        self.ended = True

    def join(self, traceparent: str | None) -> None:
        """Makes the call part of a trace."""
        self._traceparent = traceparent

    @property
    def traceparent(self) -> str:
        """The W3C trace context for calls to other services; one that is not recorded is made when asked for.

        So a failure has one trace id in the logs of every service that it passed, sampled or not.
        """
        if self._traceparent is None:
            self._traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
        return self._traceparent

    @property
    def trace_id(self) -> str:
        """The trace id in it."""
        return self.traceparent.split("-")[1]


_running: ContextVar[RunningCall | None] = ContextVar("idv_running_call", default=None)


def enter(call: RunningCall) -> None:
    """Makes `call` the running call of this task and of the tasks it starts."""
    _running.set(call)


def running_call() -> RunningCall | None:
    """The call that runs now; None outside of any, as in a periodic job or a task that outlived its call."""
    call = _running.get()
    return None if call is None or call.ended else call


def be_feed() -> None:
    """Says that the running call has no end of its own: when its service stops, it is not waited for."""
    if call := running_call():
        call.is_feed = True


def remaining() -> float | None:
    """Seconds until the running call must answer, at least 0; None when nothing limits it."""
    call = running_call()
    if call is None or call.deadline is None:
        return None
    return max(0.0, call.deadline - asyncio.get_running_loop().time())


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Names what the running call waits for, so that a passed deadline can say it."""
    call = running_call()
    if call is None:
        yield
        return
    outer, call.waiting_for = call.waiting_for, what
    yield
    call.waiting_for = outer  # kept when the block fails: that is the moment it is asked for


def traceparent_in(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The W3C trace context in a call's metadata, if there is one and it is well formed."""
    for key, value in metadata:
        if key == TRACEPARENT and isinstance(value, str) and _TRACEPARENT.fullmatch(value):
            return value
    return None


def is_sampled(traceparent: str) -> bool:
    """Whether a trace context (`00-trace-span-flags`) says that its trace is recorded."""
    return bool(int(traceparent[-2:], 16) & 1)


def shaved(seconds: float) -> float:
    """How long a method may work when its caller waits `seconds`: 5 % less, at most 100 ms.

    What is left is for an answer that names the cause, before the caller gives up.
    """
    return seconds - min(0.1, seconds * 0.05)
