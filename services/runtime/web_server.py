"""A web server inside of the service's process, on its own port: for pages and files that anyone may read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.runtime.logs import Log
from services.runtime.settings import TlsFiles
from services.runtime.tls import follow, mutual_context

_KEEP_ALIVE_SECONDS = 15
_MAX_CONCURRENT = 1000
_DRAIN_SECONDS = 5


class _Server(uvicorn.Server):
    """Uvicorn without its own signals: the service's process has one way to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


PEER = "idv.peer"
"""In a request's scope under mutual TLS: the URI names of the client's verified certificate."""


class _NamedPeer(H11Protocol):
    """Tells the application who is at the other end of a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        names = (transport.get_extra_info("peercert") or {}).get("subjectAltName", ())
        uris = tuple(value for kind, value in names if kind == "URI")
        application = self.app

        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            await application({**scope, PEER: uris}, receive, send)

        self.app = named


class WebServer:
    """Serves an application over HTTP; `address` is where. `async with` starts and stops it.

    Plain unless `tls` is given: then by mutual TLS alone, with the peer in each request's scope, and by the
    files as they are when a connection begins.

    Neither requests nor the addresses they come from are logged; `served` is the log line that tells of the
    start. Raises OSError when the port is taken.
    """

    def __init__(
        self,
        application: ASGIApp,
        address: str,
        log: Log | None = None,
        *,
        served: str = "",
        tls: TlsFiles | None = None,
    ) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, int(port)), family=family)
        bound = self._socket.getsockname()[1]
        self.address = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        self._log, self._served = log, served
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            limit_concurrency=_MAX_CONCURRENT,
            http=_NamedPeer if tls else "auto",
        )
        if tls:
            config.load()
            config.ssl = mutual_context(tls)
            follow(config.ssl, tls, log)
        self._server = _Server(config)
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        if self._log:
            self._log.info(self._served, address=self.address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._running is not None:
            await self._running
