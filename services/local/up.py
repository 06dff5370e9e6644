"""Run the stack until it is told to stop: what `idv up` does."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from services.local.describe import describe
from services.local.screen import Screen
from services.local.stack import CUSTOMERS, LocalStack

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def up(
    directory: Path,
    *,
    ready_file: Path | None = None,
    screen: Screen | None = None,
    customers: Sequence[str] = CUSTOMERS,
) -> None:
    """Start the stack, write the ready file, and stop everything on SIGINT, SIGTERM or SIGHUP.

    The ready file appears once everything serves and disappears when the stack stops; default `ready.json` in
    the directory.

    Raises:
        LocalError: the directory is in use, or something does not start.
    """
    path = ready_file or directory / "ready.json"
    with screen or Screen() as shown:
        stack = LocalStack(directory, customers=customers, changed=shown.changed)
        shown.watch(stack.processes)
        async with _stop_request() as requested:
            # A task of its own, so that a signal during the start is obeyed at once.
            serving = asyncio.create_task(_serve(stack, path, shown))
            await asyncio.wait({serving, requested}, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving


async def _serve(stack: LocalStack, path: Path, screen: Screen) -> None:
    stack.claim()
    with _removed(path):
        async with stack:
            describe(stack).write(path)
            screen.tell(_facts(stack, path))
            await asyncio.get_running_loop().create_future()  # until cancelled


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[None]:
    """No file at `path` before and after: one that a killed run left would name ports that nobody serves."""
    path.unlink(missing_ok=True)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _stop_request() -> AsyncIterator[asyncio.Future[None]]:
    """A future, done with the first signal that asks the process to stop; later ones change nothing."""
    loop = asyncio.get_running_loop()
    requested: asyncio.Future[None] = loop.create_future()

    def request() -> None:
        if not requested.done():
            requested.set_result(None)

    for each in _STOP_SIGNALS:
        loop.add_signal_handler(each, request)
    try:
        yield requested
    finally:
        for each in _STOP_SIGNALS:
            loop.remove_signal_handler(each)


def _facts(stack: LocalStack, ready_file: Path) -> list[tuple[str, str]]:
    return [
        ("ready file", str(ready_file.resolve())),
        ("directory", str(stack.layout.root)),
        ("public notice", stack.public_page),
        ("officer's page", stack.officer_page),
        ("mail", str(stack.layout.mail)),
        ("logs", str(stack.layout.logs)),
    ]
