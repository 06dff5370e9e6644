"""Parts of the notice service in a test: real database, real pages, and a clock that the test sets."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog

from services.local.databases import ServiceDatabase
from services.notice.catalogue import catalogue
from services.notice.folder import Sources, read_folder
from services.notice.pages import Pages
from services.notice.stream import TermsFeed
from services.notice.versions import Call, Versions
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from services.runtime.web_server import WebServer
from tests.set_clock import SetClock

ITEMS = catalogue()
SHIPPED = Path(__file__).parents[1] / "services" / "notice" / "versions" / "1"

TEXT = "# A notice\n\nWe keep data for {{ retention_days }} days.\n\n{{ items }}\n"
TERMS = """\
retention_days: 30
purposes: [verification]
rights: [know, delete]
items:
  - code: log.events
    sources: [sdk]
  - code: device.network.dns_ip
    sources: [sdk]
    optional: true
"""


def sources(terms: str = TERMS, **texts: str) -> Sources:
    """A small version: English unless other texts are given by language."""
    return Sources(terms, texts or {"en": TEXT})


def shipped() -> Sources:
    """Version 1 as it is shipped."""
    return read_folder(SHIPPED)


def narrower() -> Sources:
    """A version that collects less than the shipped one, in English alone: not material."""
    return Sources(shipped().terms_yaml.split("  # Events of a verification")[0], {"en": TEXT})


def call(actor: str = "officer", request: uuid.UUID | None = None, content: bytes = b"content") -> Call:
    """A call under a new request id unless one is given."""
    return Call(actor, request or uuid.uuid4(), content)


@dataclass
class Replica:
    """One replica of the service, without its gRPC ports."""

    database: Database
    clock: SetClock
    versions: Versions = field(init=False)
    feed: TermsFeed = field(init=False)

    def __post_init__(self) -> None:
        self.versions = Versions(self.database, self.clock, ITEMS)
        self.feed = TermsFeed(self.versions, structlog.get_logger())

    async def publish(self, written: Sources | None = None, effective: datetime | None = None) -> int:
        """Drafts and announces a version, and returns its number."""
        version, _ = await self.versions.draft(written or sources(), call())
        await self.versions.announce(version.number, effective, call())
        return version.number


@asynccontextmanager
async def replica(database: ServiceDatabase, clock: SetClock | None = None) -> AsyncIterator[Replica]:
    """A replica on the database whose feed follows it."""
    async with Database.open(DatabaseSettings(dsn=database.dsn)) as opened:
        part = Replica(opened, clock or SetClock())
        following = asyncio.create_task(part.feed.run())
        try:
            yield part
        finally:
            following.cancel()
            await asyncio.wait({following})


@asynccontextmanager
async def pages(part: Replica) -> AsyncIterator[str]:
    """The replica's public pages: their address as a URL without a slash at its end."""
    served = Pages(part.feed, part.clock, ITEMS)
    async with WebServer(
        served.application(), "127.0.0.1:0", structlog.get_logger(), served="served"
    ) as server:
        yield f"http://{server.address}"
