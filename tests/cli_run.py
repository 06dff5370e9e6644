"""Runs `idv` in this process, as its entry point does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, NamedTuple

from typer.core import TyperGroup

from services.cli.table import COMMANDS, root_command


class Ended(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)


def idv(*arguments: str) -> Ended:
    """The command with these arguments."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            root_command().main(list(arguments), prog_name="idv")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return Ended(code, out.getvalue(), err.getvalue())


def every_command() -> Iterator[tuple[str, ...]]:
    """The words of every command there is: `("record", "read")`."""
    from importlib import import_module

    import typer

    for entry in COMMANDS:
        app = import_module(f"services.cli.{entry.module}").app
        loaded = typer.main.get_command(app)
        yield from _words((entry.name,), loaded)


def _words(so_far: tuple[str, ...], loaded: object) -> Iterator[tuple[str, ...]]:
    if not isinstance(loaded, TyperGroup):
        yield so_far
        return
    for name, command in loaded.commands.items():
        yield from _words((*so_far, name), command)
