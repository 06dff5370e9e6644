"""The whole notice service inside the test: real TLS and certificates, real database, time by the file."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idv import channel
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub

from services.local.authority import DevelopmentAuthority
from services.local.databases import ServiceDatabase
from services.local.ports import free_port
from services.notice.main import serve
from services.notice.settings import NoticeSettings
from services.runtime.bootstrap import Runtime
from services.runtime.clock import travel
from tests.runtime_process import ISSUER, Signer

if TYPE_CHECKING:
    from idv.notice.v1.customers_pb2_grpc import CustomerServiceAsyncStub
    from idv.notice.v1.notice_pb2_grpc import NoticeServiceAsyncStub


def stub_of(channel: channel.AioChannel) -> NoticeServiceAsyncStub:
    """A stub for asyncio on a channel."""
    return NoticeServiceStub(channel)


@dataclass
class Process:
    """What a test needs of the running service."""

    runtime: Runtime
    authority: DevelopmentAuthority
    signer: Signer
    page: str
    """URL of the public pages, without a slash at its end."""
    time_file: Path
    officer_page: str
    """URL of the officer's page, without a slash at its end."""

    def anyone(self) -> channel.AioChannel:
        """A channel without any credential."""
        return channel.aio(
            self.runtime.addresses["tls"], channel.Credentials.read(self.authority.certificate)
        )

    def service(self, name: str) -> channel.AioChannel:
        """A channel of an internal service."""
        files = self.authority.service(name)
        credentials = channel.Credentials.read(files.authority, files.certificate, files.private_key)
        return channel.aio(self.runtime.addresses["mtls"], credentials)

    def notices(self, name: str | None = None) -> NoticeServiceAsyncStub:
        """The stub of an internal service, or of anyone."""
        return stub_of(self.service(name) if name else self.anyone())

    def officer(self) -> NoticeServiceAsyncStub:
        """The officer's stub."""
        return self.notices("officer")

    def customers(self, name: str = "officer") -> CustomerServiceAsyncStub:
        """The stub for Customers of an internal service."""
        return CustomerServiceStub(self.service(name))

    def travel(self, **duration: float) -> None:
        """Moves the service's clock to an offset from real time."""
        travel(self.time_file, timedelta(**duration))


@asynccontextmanager
async def running(
    folder: Path,
    database: ServiceDatabase,
    mail_server: str | None = None,
    webhook: Mapping[str, Any] | None = None,
    *,
    two_persons: bool = False,
    lead_days: float = 0,
) -> AsyncIterator[Process]:
    """A notice service that serves while the block runs, with mail server and webhooks if they are given."""
    signer, authority = Signer(folder / "jwks.json"), DevelopmentAuthority(folder)
    files = authority.service("notice")
    page = f"127.0.0.1:{free_port()}"
    officer_page = f"127.0.0.1:{free_port()}"
    settings = NoticeSettings.model_validate(
        {
            "environment": "local",
            "deployment": "test",
            "trust_domain": "idv.local",
            "listen_tls": "127.0.0.1:0",
            "amendment": {"two_persons": two_persons, "minimum_lead_days": lead_days},
            "listen_mtls": "127.0.0.1:0",
            "listen_page": page,
            "listen_officer": officer_page,
            "mail": mail_server and {"server": mail_server, "tls": "none", "sender": "privacy@idv.example"},
            "delivery": mail_server and _delivery(folder, page),
            "webhook": webhook,
            "tls": {name: str(path) for name, path in vars(files).items()},
            "customer_tokens": {"jwks": str(signer.path), "issuer": ISSUER},
            "database": {"dsn": database.dsn},
            "time_file": str(folder / "time.json"),
            "drain_seconds": 0,
            "grace_seconds": 2,
        }
    )
    async with Runtime.start(settings, service="notice") as runtime:
        serving = asyncio.create_task(serve(runtime, settings))
        started = asyncio.create_task(runtime.serving.wait())
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            started.cancel()
            await serving
        try:
            yield Process(
                *(runtime, authority, signer, f"http://{page}", folder / "time.json"),
                officer_page=f"https://{officer_page}",
            )
        finally:
            runtime.stop()
            await serving


def _delivery(folder: Path, page: str) -> dict[str, object]:
    """Settings of telling Customers."""
    key = folder / "links.key"
    key.write_bytes(base64.b64encode(b"k" * 32))
    return {
        "page_url": f"http://{page}",
        "link_key": str(key),
        "cover_seconds": 0.2,
        "listen_bounces": f"127.0.0.1:{free_port()}",
        "bounce_domain": "bounces.idv.example",
    }
