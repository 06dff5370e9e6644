"""`idv demo`: starts fresh real services, plays the chapters, and ends with what was promised and what was
shown.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.client import Suite
from services.cli.command import Json, command, group
from services.cli.demo import (
    amending,
    announcing,
    collecting,
    crashing,
    deleting,
    expiring,
    knowing,
    limiting,
    proving,
    reading,
    refusing,
    relaying,
)
from services.cli.demo.narration import PROMISES, WIDTH, Narration
from services.cli.demo.probes import Probes
from services.cli.demo.stage import Shown, Stage, play
from services.cli.exit_codes import ExitCode
from services.cli.failure import broken, end, usage
from services.cli.output import Output
from services.local.describe import describe
from services.local.stack import LocalStack

app = group("Show every promise kept, on fresh real services.")

CHAPTERS = (
    announcing.CHAPTER,
    collecting.CHAPTER,
    refusing.CHAPTER,
    reading.CHAPTER,
    crashing.CHAPTER,
    relaying.CHAPTER,
    knowing.CHAPTER,
    limiting.CHAPTER,
    deleting.CHAPTER,
    amending.CHAPTER,
    expiring.CHAPTER,
    proving.CHAPTER,
)


@command(
    app,
    "demo",
    [
        ("The whole story, in about a minute", "idv demo"),
        ("And the same as JSON, for a record", "idv demo --report demo.json"),
        ("Keep everything it wrote, to look into it", "idv demo --dir ./demo"),
    ],
)
async def demo(
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="Keep everything here; must be empty. Default: a temporary folder."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write what was shown as JSON here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Play the whole story on real servers that are started for it.

    Exit code 4 when anything is not as promised.
    """
    started = time.monotonic()
    console = Console(file=sys.stderr if as_json else sys.stdout, width=_width(), highlight=False)
    narration = Narration(console)
    with _folder(directory) as folder:
        narration.opening(str(folder))
        shown = await _run(folder, narration)
    rows = sorted(shown, key=lambda one: list(PROMISES).index(one.promise))
    narration.ending(rows, time.monotonic() - started)
    answer = [one._asdict() for one in rows]
    if report:
        report.write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        Output(as_json=True).answer(answer)
    failed = [one for one in shown if not one.ok]
    if failed:
        end(ExitCode.NOT_AS_PROMISED, broken(f"{failed[0].step}: {failed[0].evidence}"))


async def _run(folder: Path, narration: Narration) -> list[Shown]:
    begin = time.monotonic()
    stack = LocalStack(folder / "stack", announce_notice=False, settings=amending.SETTINGS)
    async with AsyncExitStack() as held:
        with narration.working("Starting PostgreSQL, S3, mail and four services"):
            await held.enter_async_context(stack)
        ready = describe(stack)
        narration.started(time.monotonic() - begin, "PostgreSQL, S3, mail and the four services are running")
        async with Suite(ready) as suite:
            stage = Stage(stack, suite, Probes(ready, stack.layout.authority / "slots"), narration, folder)
            await play(stage, CHAPTERS)
            return stage.shown


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """The folder of the run: the one given, which must be empty, or one that is removed afterwards."""
    if given is None:
        with tempfile.TemporaryDirectory(prefix="idv-demo-") as temporary:
            yield Path(temporary)
        return
    if given.exists() and (not given.is_dir() or any(given.iterdir())):
        raise usage(f"{given} is no empty folder, and the story begins on fresh servers", "name a new folder")
    given.mkdir(parents=True, exist_ok=True)
    yield given.resolve()


def _width() -> int:
    return min(Console().width, WIDTH) if sys.stdout.isatty() else WIDTH
