"""The gRPC server of a service: its TLS and mutual TLS ports, its health port, and how it drains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.runtime.access import AccessRule
from services.runtime.interceptors import Core
from services.runtime.logs import Log
from services.runtime.settings import ServerSettings, ServiceSettings
from services.runtime.start_error import StartError
from services.runtime.tls import server_credentials

_SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True)
class GuardedService:
    """A servicer whose every method runs behind the interceptor core."""

    core: Core
    add_to_server: Callable[[Any, Any], None]
    servicer: Any
    name: str
    rules: dict[str, AccessRule]

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the guarded methods to `server`."""
        found = _Registration()
        self.add_to_server(self.servicer, found)
        absent = [
            f"{self.name}.{name} is not registered" for name in self.rules.keys() - found.methods.keys()
        ]
        if absent:
            raise StartError("the servicer does not fit its contract", sorted(absent))
        guarded = {
            name: self.core.guard(handler, f"/{self.name}/{name}", self.rules[name])
            for name, handler in found.methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(self.name, guarded),))


class _Registration:
    """Takes what the generated `add_…_to_server` registers, so that nothing reaches a server unguarded."""

    def __init__(self) -> None:
        self.methods: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Older registration of the same methods; the newer one below names them."""

    def add_registered_method_handlers(self, _service: str, methods: dict[str, Any]) -> None:
        """Keeps the methods by name."""
        self.methods.update(methods)


class Server:
    """One gRPC server on up to two ports, and a second, plaintext one that serves nothing but health."""

    def __init__(self, settings: ServiceSettings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._server = grpc.aio.server(options=server_options(settings.server))
        self._health_server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._health = health.aio.HealthServicer()
        self._names: list[str] = []

    async def start(self, services: Sequence[GuardedService]) -> dict[str, str]:
        """Opens the ports and returns their addresses by kind; raises StartError.

        Health says NOT_SERVING until `report_serving`.
        """
        for service in services:
            service.register(self._server)
            self._names.append(service.name)
        addresses = {}
        for kind, address, mutual in (
            ("tls", self._settings.listen_tls, False),
            ("mtls", self._settings.listen_mtls, True),
        ):
            if address is not None:
                credentials = server_credentials(self._settings.tls, self._log, mutual=mutual)
                add = partial(self._server.add_secure_port, server_credentials=credentials)
                addresses[kind] = _bind(f"listen_{kind}", address, add)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_server)
        health_address = self._settings.listen_health
        plain = self._health_server.add_insecure_port
        addresses["health"] = _bind("listen_health", health_address, plain)
        await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._health_server.start()
        await self._server.start()
        for kind, address in addresses.items():
            self._log.info("listening", state=kind, address=address)
        return addresses

    async def report_serving(self) -> None:
        """Lets health answer SERVING, for the whole and for each service."""
        for name in ("", *self._names):
            await self._health.set(name, _SERVING)

    async def drain(self, core: Core) -> None:
        """NOT_SERVING, a wait for load balancers to look away, the end of feeds, and a grace for the rest."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._settings.drain_seconds)
        core.end_feeds()
        await self._server.stop(self._settings.grace_seconds)
        await self._health_server.stop(None)


def server_options(limits: ServerSettings) -> list[tuple[str, int]]:
    """The gRPC channel arguments of a server."""
    return [
        ("grpc.so_reuseport", 0),  # a second process on the same port must fail, not share it
        ("grpc.http2.bdp_probe", 0),  # probing inflates the window of every stalled stream
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", limits.max_message_bytes),
        ("grpc.max_concurrent_streams", limits.max_concurrent_streams),
        ("grpc.max_connection_age_ms", int(limits.max_connection_age * 1000)),
        ("grpc.max_connection_age_grace_ms", 60_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.max_metadata_size", 16_384),
    ]


def _bind(setting: str, address: str, add: Callable[[str], int]) -> str:
    try:
        port = add(address)
    except RuntimeError as error:  # gRPC gives no other reason
        fault = f"{setting}: {address} cannot be opened; is it in use, or no address of this machine?"
        raise StartError("a port cannot be opened", [fault]) from error
    return f"{address.rpartition(':')[0]}:{port}"
