"""`python -m benchmarks`: runs the benchmarks, prints the table, writes docs/benchmarks.md and
build/bench.json.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import (
    enqueue_1m,
    expire_day,
    export,
    ingest_single,
    log_append,
    log_proof,
    mail_fanout,
    public_page,
    report,
    start,
    upload_1mib,
)
from benchmarks.rounds import Result
from services.local.layout import SERVICES
from services.local.stack import LocalStack

ROOT = Path(__file__).parent.parent
ON_A_STACK = {
    "ingest_single": ingest_single.measure,
    "upload_1mib": upload_1mib.measure,
    "expire_day": expire_day.measure,
    "export": export.measure,
    "log_append": log_append.measure,
    "log_proof": log_proof.measure,
    "mail_fanout": mail_fanout.measure,
    "enqueue_1m": enqueue_1m.measure,
    "public_page": public_page.measure,
}
NAMES = (*ON_A_STACK, "start")
AS_IN_PRODUCTION = {service: {"telemetry": {"sample_ratio": 0.01}} for service in SERVICES}
"""The local stack records every call for its tests; here the share is the services' own default."""
LEAST_ROUNDS = 9


Tell = Callable[[str], None]


async def run(names: Sequence[str], rounds: int, console: Console) -> list[Result]:
    """Runs the named benchmarks one after the other; each on its own fresh stack."""
    results: list[Result] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for name in names:
            task = progress.add_task(name, total=None)

            def tell(what: str, name: str = name, task: TaskID = task) -> None:
                progress.update(task, description=f"{name}: {what}")

            results.append(await _one(name, rounds, tell))
            progress.remove_task(task)
            last = results[-1]
            console.print(f"{name}: ratio {report.figure(last.ratio)} ({'held' if last.held else 'missed'})")
    return results


async def _one(name: str, rounds: int, tell: Tell) -> Result:
    if name == "start":
        return await start.measure(rounds, tell)
    with tempfile.TemporaryDirectory(prefix="idv-bench-") as folder:
        async with LocalStack(Path(folder), settings=AS_IN_PRODUCTION) as stack:
            return await ON_A_STACK[name](stack, rounds, tell)


def main(
    only: Annotated[
        list[str] | None, typer.Argument(help=f"Which: {', '.join(NAMES)}. All without a name.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that count.")] = LEAST_ROUNDS,
) -> None:
    """Measure the suite beside the bare limits of this machine, in interleaved rounds.

    Files are written only by a full run of at least 9 rounds. Ends with 4 when a target is missed.
    """
    names = only or list(NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        raise typer.BadParameter(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    console = Console(stderr=True)
    results = asyncio.run(run(names, rounds, console))
    report.show(results, Console())
    if not only and rounds >= LEAST_ROUNDS:
        report.write(results, ROOT / "docs" / "benchmarks.md", ROOT / "build" / "bench.json")
        console.print("written: docs/benchmarks.md, build/bench.json")
    if not all(result.held for result in results):
        raise typer.Exit(4)


if __name__ == "__main__":
    typer.run(main)
