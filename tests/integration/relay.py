"""A client's own address: calls that reach the services from a loopback address nobody else uses."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from types import TracebackType
from typing import Self


class Relay:
    """Passes TCP connections on to any `host:port`, from `address`, so that servers see that as their peer.

    Every 127.x.y.z is this host; a random one can be looked for in what the servers keep.
    """

    def __init__(self) -> None:
        self.address = ".".join(["127", *(str(101 + secrets.randbelow(150)) for _ in range(3))])
        self._servers: dict[str, asyncio.Server] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def to(self, target: str) -> str:
        """The `host:port` to call instead of `target`."""
        if target not in self._servers:
            host, _, port = target.rpartition(":")

            async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._pass_on(reader, writer, host, int(port))

            self._servers[target] = await asyncio.start_server(connected, "127.0.0.1", 0)
        name = self._servers[target].sockets[0].getsockname()
        return f"127.0.0.1:{name[1]}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        onward_reader, onward_writer = await asyncio.open_connection(host, port, local_addr=(self.address, 0))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, onward_writer))
                group.create_task(_copy(onward_reader, writer))
        finally:
            self._running.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):  # either end may hang up: the other is then told
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()
