"""Where bounces come in: an SMTP server of the service's own, on an address of its own."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP

from services.notice.delivery.bounces import MAX_BYTES, Bounces
from services.runtime.logs import Log

_IDLE_SECONDS = 60.0


class BounceServer:
    """Listens while entered."""

    def __init__(self, handler: Bounces, listen: str, log: Log) -> None:
        self._handler = handler
        self._listen = listen
        self._log = log
        self._server: asyncio.Server | None = None
        self.address = ""
        """Once entered: `host:port`, with the port that the system chose for 0."""

    async def __aenter__(self) -> Self:
        host, _, port = self._listen.rpartition(":")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, host.strip("[]"), int(port))
        self.address = f"{host}:{self._server.sockets[0].getsockname()[1]}"
        self._log.info("bounces are read", address=self.address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    def _protocol(self) -> SMTP:
        return SMTP(
            self._handler,
            hostname="localhost",
            ident="idv bounces",
            data_size_limit=MAX_BYTES,
            timeout=_IDLE_SECONDS,
            loop=asyncio.get_running_loop(),
        )
