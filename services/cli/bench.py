"""`idv bench`: measures the suite beside the bare limits of the machine it runs on."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Annotated

import typer

from services.cli.command import command, group
from services.cli.exit_codes import ExitCode
from services.cli.failure import NotAsPromisedError, usage

app = group("Measure the suite beside the bare limits of this machine.")


@command(
    app,
    "bench",
    [
        ("Everything (some minutes)", "idv bench"),
        ("Pass options on to the benchmarks", "idv bench -- --help"),
    ],
)
def bench(
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[-- OPTIONS]", help="Passed on as they are.")
    ] = None,
) -> None:
    """Run the benchmarks of this checkout: medians of interleaved rounds, each beside its bare limit."""
    if importlib.util.find_spec("benchmarks") is None:
        raise usage("the benchmarks are not installed with the command", "run it in a checkout of the suite")
    result = subprocess.run([sys.executable, "-m", "benchmarks", *(options or [])], check=False)  # noqa: S603 - own module
    if result.returncode == ExitCode.NOT_AS_PROMISED:
        raise NotAsPromisedError("a target was missed; the table above says which")
    raise typer.Exit(result.returncode)
