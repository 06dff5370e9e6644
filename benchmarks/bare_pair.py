"""Two bare processes, one behind the other, under the development certificates of a running stack."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from benchmarks.bare_echo import OPTIONS
from services.local.authority import Certificate
from services.local.stack import LocalStack


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def bare_pair(stack: LocalStack, connections: int = 1) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Two bare processes, one behind the other; yields that many connections to the first.

    They use the certificates of the stack.
    """
    certificate = stack.certificate("service:ingest")
    front, back = free_port(), free_port()
    processes = [
        await _start("back", back, 0, certificate),
        await _start("front", front, back, certificate),
    ]
    try:
        credentials = grpc.ssl_channel_credentials(
            certificate.authority.read_bytes(),
            certificate.private_key.read_bytes(),
            certificate.certificate.read_bytes(),
        )
        async with AsyncExitStack() as held:
            local = (("grpc.use_local_subchannel_pool", 1),)  # else equal channels share one connection
            yield [
                await held.enter_async_context(
                    grpc.aio.secure_channel(f"127.0.0.1:{front}", credentials, options=(*OPTIONS, *local))
                )
                for _ in range(connections)
            ]
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def _start(role: str, port: int, back: int, certificate: Certificate) -> asyncio.subprocess.Process:
    files = (certificate.certificate, certificate.private_key, certificate.authority)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.bare_echo", role, str(port), str(back), *map(str, files)),
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdout is None or (await process.stdout.readline()) != b"ready\n":
        raise RuntimeError(f"the bare {role} server did not start")
    return process
