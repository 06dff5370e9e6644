"""Parts of the mail path in a test: real database, real outbox, and mail servers that behave as told."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from idv.notice.v1 import customers_pb2 as pb

from services.local.databases import ServiceDatabase
from services.notice.accounts.accounts import AccountCall, Accounts
from services.notice.accounts.customer import Account
from services.notice.mail import store
from services.notice.mail.composing import Composer, Matter, Sender
from services.notice.mail.courier import Courier, CourierTerms
from services.notice.mail.mail_queue import MailQueue
from services.notice.mail.outbox import Outbox
from services.notice.mail.schedule import Schedule
from services.notice.mail.smtp import Relay, SmtpSession
from services.notice.mail.store import Mail
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.set_clock import START, SetClock

ACME = Account("acme", "Acme Bank", "privacy@acme.example", "en", "EU", "Europe/Berlin")
SENDER = Sender("privacy@idv.example", "ID Verification")
MATTER = Matter(pb.MESSAGE_KIND_END_USER_REQUEST, "R-7K3M9Q2X", START, START + timedelta(days=30), 2)
SCHEDULE = Schedule(tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15)), timedelta(days=5))

STALL, DROP = "stall", "drop"


def relay(address: str, timeout_seconds: float = 5.0) -> Relay:
    """A mail server on loopback, without TLS."""
    host, _, port = address.rpartition(":")
    return Relay(host, int(port), "none", None, None, None, SENDER.address, timeout_seconds)


def terms(workers: int = 1, takeover_seconds: float = 60.0) -> CourierTerms:
    return CourierTerms(workers, timedelta(seconds=takeover_seconds), SCHEDULE)


@dataclass
class Post:
    """One replica's mail path, without gRPC."""

    database: Database
    clock: SetClock
    accounts: Accounts
    outbox: Outbox

    async def register(self, account: Account = ACME) -> None:
        await self.accounts.create(account, AccountCall(uuid.uuid4(), b"create"))

    async def ask(self, account: Account = ACME, matter: Matter = MATTER) -> Mail:
        """Puts a mail into the outbox under a new request id."""
        return await self.outbox.put(account.tenant, uuid.uuid4(), b"ask", matter)

    def courier(self, server: Relay, workers: CourierTerms | None = None) -> Courier:
        log = structlog.get_logger()
        queues = [MailQueue(self.database)]
        return Courier(queues, lambda: SmtpSession(server), self.clock, log, workers or terms())

    async def stored(self, mail: Mail) -> Mail:
        """The mail as it stands now."""
        async with self.database.transaction([mail.tenant]) as connection:
            found = await store.mail(connection, mail.tenant, mail.mail)
        assert found is not None
        return found


@asynccontextmanager
async def post(database: ServiceDatabase, clock: SetClock | None = None) -> AsyncIterator[Post]:
    """A mail path on the database."""
    clock = clock or SetClock()
    async with Database.open(DatabaseSettings(dsn=database.dsn)) as opened:
        accounts = Accounts(opened, clock, {"device.network.dns_ip"})
        yield Post(opened, clock, accounts, Outbox(opened, accounts, Composer(SENDER), clock))


@dataclass
class ToldServer:
    """An SMTP server that answers each verb as told: with a reply, by `STALL` or by `DROP`.

    The verb `CONNECT` stands for the greeting and `CONTENT` for the reply to the mail itself.
    """

    replies: dict[str, str] = field(default_factory=dict)
    contents: list[bytes] = field(default_factory=list)
    """Every content that arrived whole, whatever was answered."""
    verbs: list[str] = field(default_factory=list)
    address: str = ""
    before_content: Callable[[], None] = lambda: None
    """Called when a content has arrived, before its reply."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._session(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        alive = await self._answer(writer, "CONNECT", "220 told")
        while alive and (line := await reader.readline()):
            verb = line.split()[0].decode().upper() if line.split() else ""
            if verb == "DATA":
                alive = await self._answer(writer, verb, "354 go on")
                if alive and self.replies.get(verb, "354").startswith("354"):
                    self.contents.append(await reader.readuntil(b"\r\n.\r\n"))
                    self.before_content()
                    alive = await self._answer(writer, "CONTENT", "250 2.0.0 taken")
            else:
                alive = await self._answer(writer, verb, "221 bye" if verb == "QUIT" else "250 fine")
                alive = alive and verb != "QUIT"

    async def _answer(self, writer: asyncio.StreamWriter, verb: str, otherwise: str) -> bool:
        self.verbs.append(verb)
        reply = self.replies.get(verb, otherwise)
        if reply == DROP:
            return False
        if reply == STALL:
            await asyncio.Event().wait()
        writer.write(reply.encode() + b"\r\n")
        await writer.drain()
        return True


@asynccontextmanager
async def told(replies: Mapping[str, str] | None = None) -> AsyncIterator[ToldServer]:
    """A running server that behaves as told."""
    server = ToldServer(dict(replies or {}))
    sessions: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(server.serve(reader, writer))
        sessions.add(task)
        task.add_done_callback(sessions.discard)

    listening = await asyncio.start_server(begin, "127.0.0.1", 0)
    server.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in list(sessions):
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)


def server_context(certificate: str, private_key: str) -> ssl.SSLContext:
    """TLS of a test's mail server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private_key)
    return context
