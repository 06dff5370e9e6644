"""Webhooks from a real database to real HTTPS servers that answer, stall, redirect, drip, fail and lie."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import webhooks
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb

from services.local.authority import DevelopmentAuthority
from services.local.databases import DatabaseFactory
from services.notice.accounts.accounts import AccountCall, Accounts
from services.notice.mail.schedule import Schedule
from services.notice.webhooks import store
from services.notice.webhooks.addresses import Addresses, Resolve
from services.notice.webhooks.http import Poster
from services.notice.webhooks.outbox import WebhookOutbox
from services.notice.webhooks.posting import Posting, PostingTerms
from services.notice.webhooks.signing import WebhookSigner
from services.notice.webhooks.store import Message
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.https_receiver import OK, Answer, drips, floods, receiver, says, stalls
from tests.mail_parts import ACME
from tests.set_clock import SetClock
from tests.waiting import until

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TERMS = PostingTerms(
    workers=2,
    takeover=timedelta(minutes=1),
    schedule=Schedule((timedelta(minutes=1), timedelta(minutes=5)), timedelta(hours=1)),
)
FACTS = {"deletion": "customers/acme/deletions/0198", "state": "DONE"}
LOOPBACK = (IPv4Network("127.0.0.1/32"),)


@dataclass
class Bell:
    """One replica's webhooks, without gRPC."""

    database: Database
    clock: SetClock
    accounts: Accounts
    outbox: WebhookOutbox
    authority: Path

    async def register(self, uri: str) -> None:
        account = replace(ACME, webhook_uri=uri)
        await self.accounts.create(account, AccountCall(uuid.uuid4(), b"create"))

    async def lead_to(self, uri: str) -> None:
        await self.accounts.update("acme", {"webhook_uri": uri}, AccountCall(uuid.uuid4(), b"update"))

    async def ask(self, request_id: uuid.UUID | None = None, content: bytes = b"ask") -> Message:
        return await self.outbox.put("acme", request_id or uuid.uuid4(), content, "deletion.ended", FACTS)

    def posting(
        self, resolve: Resolve | None = None, allowed: Sequence[IPv4Network] = LOOPBACK, seconds: float = 5.0
    ) -> Posting:
        poster = Poster(Addresses(allowed, resolve or answering("127.0.0.1")), seconds, self.authority)
        return Posting(self.database, poster, WebhookSigner([KEY]), self.clock, structlog.get_logger(), TERMS)

    async def stored(self, message: Message) -> Message:
        async with self.database.transaction([message.tenant]) as connection:
            found = await store.message(connection, message.tenant, message.webhook)
        assert found is not None
        return found


def answering(*addresses: str) -> Resolve:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


@pytest.fixture
async def bell(database_factory: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Bell]:
    made, clock = await database_factory("notice"), SetClock()
    authority = DevelopmentAuthority(tmp_path).certificate
    async with Database.open(DatabaseSettings(dsn=made.dsn)) as opened:
        accounts = Accounts(opened, clock, set())
        outbox = WebhookOutbox(opened, accounts, clock, posting=True)
        yield Bell(opened, clock, accounts, outbox, authority)


async def test_a_message_is_posted_once_and_verifies(bell: Bell, tmp_path: Path) -> None:
    async with receiver(tmp_path) as server:
        await bell.register(f"https://localhost:{server.port}/done?of=acme")
        request_id = uuid.uuid4()
        asked = await bell.ask(request_id)
        assert (await bell.ask(request_id)).webhook == asked.webhook
        await asyncio.gather(*(bell.posting().empty() for _ in range(3)))
        ((line, headers, body),) = server.requests
    assert line == "POST /done?of=acme HTTP/1.1"
    now = bell.clock.now().timestamp()
    told = webhooks.verify(body, headers, webhooks.published(KEY.public_key()), now=now)
    assert (told.id, told.type, told.data) == (str(asked.webhook), "deletion.ended", FACTS)
    kept = await bell.stored(asked)
    assert (kept.state, kept.reply) == (pb.NOTIFICATION_STATE_ACCEPTED, "204")
    assert (kept.content, kept.uri) == (None, None), "evidence alone is kept"
    assert (await bell.ask(request_id)).state == pb.NOTIFICATION_STATE_ACCEPTED
    with pytest.raises(IdvError) as caught:
        await bell.ask(request_id, b"another")
    assert caught.value.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (stalls, "no answer in time"),
        (drips, "no answer in time"),
        (says("HTTP/1.1 500 Oh\nContent-Length: 0\n\n"), "500"),
        (says("HTTP/1.1 302 Else\nLocation: https://localhost:1/\nContent-Length: 0\n\n"), "302"),
        (says("220 smtp.example ready\n\n"), "the answer is no HTTP"),
        (says(f"HTTP/1.1 200 OK\nX: {'a' * 100_000}\n\n"), "the answer is no HTTP"),
    ],
    ids=["stalls", "drips", "fails", "redirects", "speaks otherwise", "has a head without end"],
)
async def test_a_bad_answer_is_tried_again_with_the_same_id_and_ends_as_failed(
    bell: Bell, tmp_path: Path, answer: Answer, reply: str
) -> None:
    async with receiver(tmp_path, answer) as server:
        await bell.register(f"https://localhost:{server.port}/")
        asked, posting = await bell.ask(), bell.posting(seconds=0.5)
        await posting.empty()
        kept = await bell.stored(asked)
        assert (kept.state, kept.reply) == (pb.NOTIFICATION_STATE_QUEUED, reply)
        await posting.empty()
        assert len(server.requests) == 1, "it waits, and no redirect was followed"
        bell.clock.advance(minutes=1)
        await posting.empty()
        bell.clock.advance(hours=1)
        await posting.empty()
    kept = await bell.stored(asked)
    assert (kept.state, kept.reply, kept.attempts) == (pb.NOTIFICATION_STATE_FAILED, reply, 3)
    assert len({headers["webhook-id"] for _, headers, _ in server.requests}) == 1
    assert len({headers["webhook-timestamp"] for _, headers, _ in server.requests}) == 3


async def test_a_body_without_end_is_not_read(bell: Bell, tmp_path: Path) -> None:
    async with receiver(tmp_path, floods) as server:
        await bell.register(f"https://localhost:{server.port}/")
        asked = await bell.ask()
        await bell.posting().empty()
    assert (await bell.stored(asked)).state == pb.NOTIFICATION_STATE_ACCEPTED


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("127.0.0.1", "10.0.0.1")])
async def test_nothing_is_sent_to_an_address_that_is_not_allowed(
    bell: Bell, tmp_path: Path, addresses: tuple[str, ...]
) -> None:
    allowed = LOOPBACK if len(addresses) > 1 else ()
    async with receiver(tmp_path) as server:
        await bell.register(f"https://localhost:{server.port}/")
        asked = await bell.ask()
        await bell.posting(answering(*addresses), allowed).empty()
    assert server.connections == 0
    assert (await bell.stored(asked)).reply == "the host leads to an address that is not allowed"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_in_place_of_a_name_is_checked_too(bell: Bell, tmp_path: Path, host: str) -> None:
    async with receiver(tmp_path) as server:
        await bell.register(f"https://{host}:{server.port}/")
        asked = await bell.ask()
        poster = Poster(Addresses(), 5.0, bell.authority)
        log = structlog.get_logger()
        await Posting(bell.database, poster, WebhookSigner([KEY]), bell.clock, log, TERMS).empty()
    assert server.connections == 0
    assert (await bell.stored(asked)).reply == "the host leads to an address that is not allowed"


async def test_a_name_that_leads_elsewhere_a_moment_later_leads_nowhere(bell: Bell, tmp_path: Path) -> None:
    asked_for: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked_for.append(host)
        return ["127.0.0.1"] if len(asked_for) == 1 else ["169.254.169.254"]

    async with receiver(tmp_path) as server:
        await bell.register(f"https://localhost:{server.port}/")
        asked = await bell.ask()
        await bell.posting(rebinding).empty()
        assert asked_for == ["localhost"], "it is resolved once, and connected to what was checked"
        assert (await bell.stored(asked)).state == pb.NOTIFICATION_STATE_ACCEPTED
        second = await bell.ask()
        await bell.posting(rebinding).empty()
    assert (server.connections, (await bell.stored(second)).attempts) == (1, 1)


async def test_a_certificate_for_another_name_or_by_a_stranger_gets_nothing(
    bell: Bell, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    await bell.register("")
    for directory, host in ((tmp_path, "hooks.example"), (tmp_path / "other", "localhost")):
        async with receiver(directory) as server:
            await bell.lead_to(f"https://{host}:{server.port}/")
            asked = await bell.ask()
            await bell.posting().empty()
            assert (await bell.stored(asked)).reply == "the certificate is not trusted"
            assert server.requests == []


async def test_what_a_worker_took_and_died_with_is_posted_by_another_under_the_same_id(
    bell: Bell, tmp_path: Path
) -> None:
    async with receiver(tmp_path, stalls) as server:
        await bell.register(f"https://localhost:{server.port}/")
        asked = await bell.ask()
        dying = asyncio.create_task(bell.posting().empty())
        await until("the message arrives", lambda: len(server.requests) == 1)
        dying.cancel()
        await asyncio.wait({dying})
        server.answer = OK
        await bell.posting().empty()
        assert len(server.requests) == 1, "it is another worker's still"
        bell.clock.advance(minutes=1)
        await bell.posting().empty()
    assert [headers["webhook-id"] for _, headers, _ in server.requests] == [str(asked.webhook)] * 2
    assert (await bell.stored(asked)).state == pb.NOTIFICATION_STATE_ACCEPTED


async def test_without_a_webhook_there_is_nothing_to_post_whatever_is_set_later(bell: Bell) -> None:
    await bell.register("")
    request_id = uuid.uuid4()
    assert (await bell.ask(request_id)).state == pb.NOTIFICATION_STATE_NOT_ADDRESSED
    await bell.posting().empty()
    assert (await bell.ask(request_id)).attempts == 0


async def test_row_level_security_alone_keeps_messages_from_other_customers(bell: Bell) -> None:
    await bell.register("https://localhost:1/")
    await bell.ask()
    for tenants, rows in ((["acme"], 1), (["globex"], 0), ([], 0)):
        async with bell.database.transaction(tenants) as connection:
            found = await connection.exec_driver_sql("SELECT count(*) FROM notice.webhooks")
            assert found.scalar_one() == rows


async def test_a_message_due_under_a_clock_that_was_ahead_is_posted_when_it_is_set_back(
    bell: Bell, tmp_path: Path
) -> None:
    async with receiver(tmp_path) as server:
        await bell.register(f"https://localhost:{server.port}/")
        bell.clock.advance(days=400)
        await bell.ask()
        bell.clock.advance(days=-400)
        await bell.posting().empty()
        assert len(server.requests) == 1


async def test_a_worker_that_ends_while_it_posts_leaves_the_message_to_the_next_at_once(
    bell: Bell, tmp_path: Path
) -> None:
    reached = asyncio.Event()

    async def resolve(host: str, port: int) -> Sequence[str]:
        reached.set()
        await asyncio.Event().wait()
        return ()

    async with receiver(tmp_path) as server:
        await bell.register(f"https://localhost:{server.port}/")
        asked = await bell.ask()
        posting = asyncio.ensure_future(bell.posting(resolve).empty())
        await reached.wait()
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting
        bell.clock.advance(seconds=1)
        await bell.posting().empty()
        assert len(server.requests) == 1
    assert (await bell.stored(asked)).attempts == 1
