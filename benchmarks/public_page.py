"""`public_page`: the notice in force, as browsers fetch it, beside a bare answer of the same web server.

The page comes from the notice service of the stack. The bare limit is a process with the same web server and
an application that does nothing but send the same bytes under the same headers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import uvloop
from starlette.types import Receive, Scope, Send

from benchmarks.bare_pair import free_port
from benchmarks.load import rate
from benchmarks.rounds import Result, interleave, median
from services.local.stack import LocalStack
from services.runtime.web_server import WebServer

CONNECTIONS = 16
REQUESTS = 1500
TARGET = 0.5
_OF_THE_SERVER = frozenset({"date", "server", "connection", "transfer-encoding"})


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Pages a second of both, over as many connections that stay open."""
    page = f"{stack.public_page.rstrip('/')}/en"
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        async with session.get(page) as answer:
            answer.raise_for_status()
            body, headers = await answer.read(), dict(answer.headers)
        async with _bare(body, headers) as bare:

            async def fetch(url: str) -> None:
                async with session.get(url) as answer:
                    if answer.status != 200 or await answer.read() != body:
                        raise RuntimeError(f"{url} answers something else than the page")

            async def ours() -> float:
                return await rate(lambda _: fetch(page), calls=REQUESTS, in_flight=CONNECTIONS)

            async def static() -> float:
                return await rate(lambda _: fetch(bare), calls=REQUESTS, in_flight=CONNECTIONS)

            seen = await interleave(rounds, ours, static, progress=progress)
    ratios = [one / other for one, other in seen]
    return Result(
        name="public_page",
        ours=median([one for one, _ in seen]),
        bare=median([other for _, other in seen]),
        ratio=median(ratios),
        target=TARGET,
        unit="pages/s",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) >= TARGET,
        about=f"the public page of the notice in force, {len(body):,} bytes of HTML, over {CONNECTIONS} "
        "connections; beside the same bytes and headers from a bare application on the same web server.",
    )


@asynccontextmanager
async def _bare(body: bytes, headers: dict[str, str]) -> AsyncIterator[str]:
    """A process that answers everything with `body`; yields its URL."""
    kept = {name: value for name, value in headers.items() if name.lower() not in _OF_THE_SERVER}
    with tempfile.TemporaryDirectory(prefix="idv-bench-") as folder:
        files = Path(folder) / "body", Path(folder) / "headers.json"
        files[0].write_bytes(body)
        files[1].write_text(json.dumps(kept))
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.public_page", str(port), *map(str, files)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            if process.stdout is None or (await process.stdout.readline()) != b"ready\n":
                raise RuntimeError("the bare web server did not start")
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.kill()
            await process.wait()


async def _serve(port: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with WebServer(application, f"127.0.0.1:{port}"):
        print("ready", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Reads the arguments and serves until the process is ended."""
    port, body, headers = sys.argv[1:]
    fields = json.loads(Path(headers).read_text())
    named = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    uvloop.run(_serve(int(port), Path(body).read_bytes(), named))


if __name__ == "__main__":
    main()
