"""How a command is declared: its options, its examples, its errors and its exit code."""

from __future__ import annotations

import asyncio
import functools
import inspect
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Example = tuple[str, str]
"""What one wants, and the line that does it."""


Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of a table.")]
Connect = Annotated[
    Path,
    typer.Option(
        "--connect", envvar="IDV_CONNECT", metavar="FILE", help="The ready file of a running stack."
    ),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="WHO", help="Act as `customer:ID` or `service:NAME`. Default: the first that may."
    ),
]
RequestId = Annotated[
    str | None,
    typer.Option("--request-id", metavar="UUID", help="Repeat an earlier request: it gets the first answer."),
]

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)  # SIGINT is asyncio's own
_ENDED_BY_SIGNAL = 128 + signal.SIGTERM

READY_FILE = Path(".idv/ready.json")
"""Where `idv up` puts the ready file by default, and where every command looks for it."""


def epilog(examples: Sequence[Example]) -> str:
    """The end of a help text: each example's wish and line."""
    lines = [f"[dim]# {_literal(wish)}[/]\n[green]{_literal(line)}[/]" for wish, line in examples]
    return "\n".join(["[bold]Examples[/]", *lines])


def group(summary: str) -> typer.Typer:
    """A module's commands. With one command only, that command stands for the module."""
    return typer.Typer(
        help=summary,
        no_args_is_help=True,
        rich_markup_mode="rich",
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def command(
    app: typer.Typer, name: str, examples: Sequence[Example]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function, plain or a coroutine's, as a command.

    Every failure of it ends in one sentence and an exit code.

    A function that takes `as_json` gets its failures printed as JSON too.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(**options: Any) -> None:
            from services.cli.failure import reported  # it takes gRPC along, which help needs not

            with reported(as_json=bool(options.get("as_json"))):
                answer = function(**options)
                if inspect.iscoroutine(answer):
                    _drive(answer)

        app.command(name, epilog=epilog(examples))(run)
        return function

    return register


def _drive(answer: Coroutine[Any, Any, None]) -> None:
    """Runs a command to its end. Ctrl-C, SIGTERM and SIGHUP cancel it, so that what it started is stopped."""

    async def cancelled_by_signals() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for each in _STOP_SIGNALS:
            loop.add_signal_handler(each, task.cancel if task else loop.stop)
        await answer

    try:
        asyncio.run(cancelled_by_signals())
    except asyncio.CancelledError:
        raise typer.Exit(_ENDED_BY_SIGNAL) from None


def _literal(text: str) -> str:
    return text.replace("[", r"\[")
