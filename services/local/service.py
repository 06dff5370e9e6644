"""One of the four services as a process, ready when its health service says so."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.local.errors import LocalError
from services.local.layout import Layout
from services.local.leftovers import end_recorded, forget, record
from services.local.process import Process

_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0
# Without these a refused connection is tried again only after a second.
_EAGER = [(f"grpc.{name}_reconnect_backoff_ms", 100) for name in ("initial", "min", "max")]


class ServiceProcess:
    """`python -m services serve NAME --config FILE` in the stack's directory, without our IDV_ variables.

    Args:
        name: the service.
        layout: where its settings lie and its log goes.
        health: `host:port` of its health service.
    """

    def __init__(self, name: str, layout: Layout, health: str) -> None:
        self.name = name
        self.health = health
        self._record = layout.pid(name)
        self._gate: int | None = None
        serve = ["serve", name, "--config", str(layout.config(name))]
        self._process = Process(
            [sys.executable, "-m", "services.local.early", name, *serve],
            log=layout.log(name),
            cwd=layout.root,
            env=_environment(layout.temporary),
        )

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process.running else None

    async def prepare(self) -> None:
        """Start the process up to where it needs its settings and the servers; `start` lets it go on."""
        await end_recorded(self._record)
        waiting, self._gate = os.pipe()
        try:
            await self._process.start(stdin=waiting)
        finally:
            os.close(waiting)
        record(self._record, self._process.pid)

    async def start(self) -> None:
        """Start it and return when it reports SERVING.

        Raises:
            LocalError: it ended, or did not report so within a minute; the message quotes the end of its log.
        """
        if self._gate is None:
            await self.prepare()
        self._open_gate()
        ended = asyncio.create_task(self._process.wait())
        serving = asyncio.create_task(_serving(self.health))
        try:
            await asyncio.wait({ended, serving}, timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if serving.done() and not ended.done():
                return
        finally:
            ended.cancel()
            serving.cancel()
            await asyncio.gather(ended, serving, return_exceptions=True)
        await self._process.kill()
        raise LocalError(
            f"The service {self.name} does not start: {self._process.log_tail()}",
            f"Read {self._process.log}.",
        )

    async def stop(self) -> None:
        """SIGTERM: it drains, answers what it has begun, and ends."""
        await self._process.stop(signal.SIGTERM, grace_seconds=_STOP_SECONDS)
        self._open_gate()
        forget(self._record)

    async def kill(self) -> None:
        """kill -9, as a crash would."""
        await self._process.kill()
        self._open_gate()

    async def wait(self) -> int:
        """Wait until it ends, for whatever reason, and return its exit code."""
        return await self._process.wait()

    def _open_gate(self) -> None:
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None


async def _serving(address: str) -> None:
    """Return when the health service at this address reports SERVING; ask until then."""
    async with grpc.aio.insecure_channel(address, options=_EAGER) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True)
            except grpc.aio.AioRpcError:  # not listening yet, or too busy to answer
                await asyncio.sleep(0.05)
                continue
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(0.05)


def _environment(temporary: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IDV_")}
    return kept | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
