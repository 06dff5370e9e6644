"""A mail sink in a process of its own, so that what it costs meets both sides of a comparison alike.

Run with the folder that mails go into; prints its `host:port` and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from services.local.mail import MailSink


@asynccontextmanager
async def mail_sink(folder: Path) -> AsyncIterator[str]:
    """A running sink: its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.mail_sink", str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the sink has no pipes")
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(folder: Path) -> None:
    async with MailSink(folder) as sink:
        sys.stdout.write(f"{sink.address}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
