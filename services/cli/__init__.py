"""The `idv` command: runs the suite, speaks to it, and checks what it promises."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `idv`. Ends the process with one of the exit codes of `services.cli.failure`."""
    from services.cli.table import root_command

    root_command()(sys.argv[1:], prog_name="idv")
