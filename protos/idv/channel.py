"""Channels to the services: TLS or mutual TLS, tokens, deadlines, retries of unary calls, typed errors.

    from idv import channel
    from idv.ingest.v1 import ingest_pb2_grpc

    credentials = channel.Credentials.read(Path("ca.pem"))
    async with channel.aio("ingest.example.com:8443", credentials, token=token) as ingest:
        stub = ingest_pb2_grpc.IngestServiceStub(ingest)

Every call ends in its answer or in an `idv.errors.IdvError`, whose cause is gRPC's own error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from idv.aio_channel import AioChannel
from idv.sync_channel import SyncChannel

__all__ = ["DEADLINE_SECONDS", "AioChannel", "Credentials", "SyncChannel", "aio", "sync"]

DEADLINE_SECONDS: Final = 30.0
"""Seconds that a unary call may take when the caller says nothing."""

_MAX_MESSAGE_BYTES: Final = 4 << 20
_RETRIED: Final = {
    "maxAttempts": 5,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2.5,  # together longer than a connection waits before it is tried again
    "retryableStatusCodes": ["UNAVAILABLE"],
}


@dataclass(frozen=True)
class Credentials:
    """PEM bytes: the authority that signs servers and, for mutual TLS, the caller's certificate and key."""

    authority: bytes
    certificate: bytes | None = None
    private_key: bytes | None = None

    @classmethod
    def read(
        cls, authority: Path, certificate: Path | None = None, private_key: Path | None = None
    ) -> Credentials:
        """Reads PEM files; raises OSError."""
        return cls(
            authority.read_bytes(),
            certificate.read_bytes() if certificate else None,
            private_key.read_bytes() if private_key else None,
        )

    def channel(self) -> grpc.ChannelCredentials:
        """The same for gRPC."""
        return grpc.ssl_channel_credentials(self.authority, self.private_key, self.certificate)


def aio(
    target: str,
    credentials: Credentials,
    *,
    token: str | Callable[[], str] | None = None,
    timeout: float | Callable[[], float | None] | None = DEADLINE_SECONDS,
    retried: Sequence[str] = (),
    server_name: str | None = None,
) -> AioChannel:
    """An asyncio channel to `target` ("host:port").

    `token`: a bearer token, or what gives the present one. `timeout`: seconds for calls that set none;
    streams that answer without end need `timeout=None` at the call. `retried`: full names of services
    ("idv.storage.v1.StorageService") whose unary calls are repeated while the server is unavailable: safe
    because every mutation carries a request id. `server_name`: the name in the server's certificate where
    it is not the host of `target`.
    """
    open_channel = _opener(target, credentials, retried, server_name)
    return AioChannel(open_channel, token=token, timeout=timeout)


def sync(
    target: str,
    credentials: Credentials,
    *,
    token: str | Callable[[], str] | None = None,
    timeout: float | None = DEADLINE_SECONDS,
    retried: Sequence[str] = (),
    server_name: str | None = None,
) -> SyncChannel:
    """A blocking channel; parameters as of `aio`."""
    channel = grpc.secure_channel(target, credentials.channel(), options=options(retried, server_name))
    return SyncChannel(channel, token=token, timeout=timeout)


def _opener(
    target: str, credentials: Credentials, retried: Sequence[str], server_name: str | None
) -> Callable[[], grpc.aio.Channel]:
    def open_channel() -> grpc.aio.Channel:
        return grpc.aio.secure_channel(target, credentials.channel(), options=options(retried, server_name))

    return open_channel


def options(retried: Sequence[str], server_name: str | None = None) -> list[tuple[str, str | int]]:
    """The gRPC channel arguments that every client of the suite uses."""
    service_config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": [{"service": name} for name in retried], "retryPolicy": _RETRIED}]
        if retried
        else [],
    }
    chosen: list[tuple[str, str | int]] = [
        ("grpc.service_config", json.dumps(service_config)),
        ("grpc.enable_retries", 1 if retried else 0),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.http2.bdp_probe", 0),  # probing inflates the window of every stalled stream
        # A server that restarts is found again within two seconds, not within gRPC's two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
    if server_name:
        chosen.append(("grpc.ssl_target_name_override", server_name))
    return chosen
