"""`start`: the whole suite from an empty folder until everything serves."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rounds import Result, interleave, median
from services.local.stack import LocalStack

TARGET = 8.0


async def measure(rounds: int, progress: Callable[[str], None]) -> Result:
    """Starts and stops stacks in folders of their own; only the start is timed, in seconds."""

    async def once() -> float:
        with tempfile.TemporaryDirectory(prefix="idv-bench-") as folder:
            started = time.perf_counter()
            async with LocalStack(Path(folder)):
                return time.perf_counter() - started

    seen = [values[0] for values in await interleave(rounds, once, progress=progress)]
    return Result(
        name="start",
        ours=median(seen),
        bare=TARGET,
        ratio=median(seen) / TARGET,
        target=1.0,
        unit="s",
        lowest=min(seen) / TARGET,
        highest=max(seen) / TARGET,
        rounds=len(seen),
        held=median(seen) <= TARGET,
        about="PostgreSQL, object store, certificates, roles, migrations and the four services, from an "
        "empty folder until all "
        f"serve; `bare` is the limit of {TARGET:g} s that it must stay below, so a lower ratio is better.",
    )
