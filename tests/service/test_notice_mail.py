"""The outbox and its workers on a real database: mail servers that refuse, put off, lie, stall and drop."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2 as pb

from services.local.authority import DevelopmentAuthority
from services.local.databases import ServiceDatabase
from services.local.mail import MailSink
from services.notice.mail import smtp, store
from services.notice.mail.outbox import Outbox
from tests.mail_parts import ACME, DROP, MATTER, STALL, Post, post, relay, server_context, told
from tests.waiting import until

MAILS, KILLS = 2000, 20


async def test_a_mail_reaches_the_server_and_its_content_is_forgotten(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with post(service_database) as part, MailSink(tmp_path) as sink:
        await part.register()
        asked = await part.ask()
        assert asked.state == pb.DELIVERY_STATE_QUEUED
        assert asked.content is not None
        await part.courier(relay(sink.address)).empty()
        stored = await part.stored(asked)
        assert (stored.state, stored.content, stored.attempts) == (pb.DELIVERY_STATE_ACCEPTED, None, 1)
        assert stored.reply == "250 2.0.0 stored"
        (message,) = sink.messages()
        assert message["X-Envelope-To"] == ACME.email
        assert message["Message-ID"] == f"<{asked.mail}@idv.example>"
        assert MATTER.case_number in message["Subject"]


async def test_a_request_id_is_one_mail_and_tells_how_it_stands(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with post(service_database) as part, MailSink(tmp_path) as sink:
        await part.register()
        request = uuid.uuid4()
        first = await asyncio.gather(*(part.outbox.put("acme", request, b"one", MATTER) for _ in range(5)))
        assert len({mail.mail for mail in first}) == 1
        await part.courier(relay(sink.address)).empty()
        again = await part.outbox.put("acme", request, b"one", MATTER)
        assert again.state == pb.DELIVERY_STATE_ACCEPTED
        assert len(sink.messages()) == 1
        with pytest.raises(IdvError) as caught:
            await part.outbox.put("acme", request, b"another", MATTER)
        assert caught.value.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED


async def test_nothing_is_taken_for_an_unknown_customer_or_without_a_mail_server(
    service_database: ServiceDatabase,
) -> None:
    async with post(service_database) as part:
        with pytest.raises(IdvError) as caught:
            await part.ask()
        assert caught.value.reason == Reason.ERROR_REASON_NOT_FOUND
        without = Outbox(part.database, part.accounts, None, part.clock)
        with pytest.raises(IdvError) as caught:
            await without.put("acme", uuid.uuid4(), b"", MATTER)
        assert caught.value.reason == Reason.ERROR_REASON_UNAVAILABLE


@pytest.mark.parametrize(
    ("replies", "reply"),
    [
        ({"RCPT": "550 5.1.1 no such user"}, "550 5.1.1 no such user"),
        ({"CONTENT": "554 5.7.1 not wanted"}, "554 5.7.1 not wanted"),
    ],
    ids=["recipient", "content"],
)
async def test_a_5yz_to_the_mail_is_final_with_its_reply(
    service_database: ServiceDatabase, replies: dict[str, str], reply: str
) -> None:
    async with post(service_database) as part, told(replies) as server:
        await part.register()
        asked = await part.ask()
        await part.courier(relay(server.address)).empty()
        stored = await part.stored(asked)
        assert (stored.state, stored.reply, stored.content) == (pb.DELIVERY_STATE_FAILED, reply, None)
        part.clock.advance(days=1)
        before = len(server.verbs)
        await part.courier(relay(server.address)).empty()
        assert len(server.verbs) == before, "what is final is not tried again"


@pytest.mark.parametrize(
    "replies",
    [
        {"RCPT": "451 4.7.1 greylisted"},
        {"CONTENT": "452 4.3.1 full"},
        {"CONNECT": "421 busy"},
        {"CONNECT": "554 not you"},
        {"MAIL": "550 5.7.1 you may not send"},
        {"DATA": "421 shutting down"},
        {"CONNECT": DROP},
        {"DATA": DROP},
        {"CONTENT": DROP},
        {"CONTENT": "what"},
        {"CONTENT": "354 more"},
        {"EHLO": "x" * 100_000, "HELO": "x" * 100_000},
        {"CONNECT": STALL},
        {"CONTENT": STALL},
    ],
    ids=lambda replies: "-".join(f"{verb}-{said[:8]}" for verb, said in replies.items()),
)
async def test_whatever_else_a_server_does_the_mail_waits_and_arrives_later(
    service_database: ServiceDatabase, replies: dict[str, str]
) -> None:
    """4yz, 421, refused sessions, broken ones, and answers that are none."""
    async with post(service_database) as part, told(replies) as server:
        await part.register()
        asked = await part.ask()
        courier = part.courier(relay(server.address, timeout_seconds=0.5))
        async with asyncio.timeout(10):
            await courier.empty()
        waiting = await part.stored(asked)
        assert (waiting.state, waiting.attempts) == (pb.DELIVERY_STATE_QUEUED, 1)
        assert waiting.content is not None
        assert waiting.reply
        assert len(waiting.reply) <= 500
        server.replies.clear()
        await courier.empty()
        assert (await part.stored(asked)).attempts == 1, "not before it is due"
        part.clock.advance(minutes=1)
        await courier.empty()
        assert (await part.stored(asked)).state == pb.DELIVERY_STATE_ACCEPTED
        identities = {
            line for content in server.contents for line in content.split(b"\r\n") if b"Message-ID" in line
        }
        assert len(identities) == 1, "sent again under the same Message-ID"


async def test_a_mail_that_was_only_ever_put_off_fails_at_the_end_and_not_before(
    service_database: ServiceDatabase,
) -> None:
    async with post(service_database) as part, told({"RCPT": "450 later"}) as server:
        await part.register()
        asked = await part.ask()
        courier = part.courier(relay(server.address))
        while (await part.stored(asked)).state == pb.DELIVERY_STATE_QUEUED:
            await courier.empty()
            assert part.clock.now() - asked.create_time <= timedelta(days=5, minutes=15)
            part.clock.advance(minutes=15)
        stored = await part.stored(asked)
        assert (stored.state, stored.reply) == (pb.DELIVERY_STATE_FAILED, "450 later")
        assert stored.state_time - asked.create_time >= timedelta(days=5)


async def test_without_tls_nothing_is_sent_unless_told_so(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with post(service_database) as part, told() as server:
        await part.register()
        asked = await part.ask()
        await part.courier(replace(relay(server.address), tls="starttls")).empty()
        assert (await part.stored(asked)).state == pb.DELIVERY_STATE_QUEUED
        assert server.contents == []
        assert "MAIL" not in server.verbs


async def test_tls_is_begun_and_the_servers_certificate_checked(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "other").mkdir()
    files = DevelopmentAuthority(tmp_path).service("mail")
    stranger = DevelopmentAuthority(tmp_path / "other").certificate
    context = server_context(str(files.certificate), str(files.private_key))
    sink = MailSink(tmp_path / "mail")

    def protocol() -> SMTP:
        return SMTP(sink, hostname="localhost", tls_context=context, require_starttls=True)

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, post(service_database) as part:
        await part.register()
        asked = await part.ask()
        secure = replace(relay(address), tls="starttls")
        await part.courier(replace(secure, authority=stranger)).empty()
        refused = await part.stored(asked)
        assert (refused.state, sink.messages()) == (pb.DELIVERY_STATE_QUEUED, [])
        part.clock.advance(minutes=1)
        await part.courier(replace(secure, authority=files.authority)).empty()
        assert (await part.stored(asked)).state == pb.DELIVERY_STATE_ACCEPTED


async def test_several_replicas_send_each_mail_once(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with post(service_database) as part, MailSink(tmp_path) as sink:
        await part.register()
        asked = [await part.ask() for _ in range(60)]
        await asyncio.gather(*(part.courier(relay(sink.address)).empty() for _ in range(4)))
        sent = Counter(message["Message-ID"] for message in sink.messages())
        assert sent == Counter(f"<{mail.mail}@idv.example>" for mail in asked)


async def test_a_session_that_broke_while_it_lay_idle_is_opened_anew(
    service_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with post(service_database) as part, told() as server:
        await part.register()
        first, second = await part.ask(), await part.ask()
        monkeypatch.setattr(smtp, "_SURELY_OPEN", 0.0)  # as if each mail came long after the one before
        server.replies["RSET"] = DROP
        await part.courier(relay(server.address)).empty()
        assert server.verbs.count("CONNECT") == 2
        for mail in (first, second):
            stored = await part.stored(mail)
            assert (stored.state, stored.attempts) == (pb.DELIVERY_STATE_ACCEPTED, 1)


async def test_a_worker_that_is_stopped_ends_the_mail_under_way_and_takes_no_other(
    service_database: ServiceDatabase,
) -> None:
    async with post(service_database) as part, told() as server:
        await part.register()
        first, second = await part.ask(), await part.ask()
        courier = part.courier(relay(server.address))
        server.before_content = courier.stop
        async with asyncio.timeout(10):
            await courier.run()
        assert (await part.stored(first)).state == pb.DELIVERY_STATE_ACCEPTED
        assert (await part.stored(second)).attempts == 0
        assert len(server.contents) == 1


async def test_2000_mails_survive_20_kills_of_the_worker(
    service_database: ServiceDatabase, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each mail that was asked for arrived; what came twice came under the same Message-ID."""
    async with post(service_database) as part, MailSink(tmp_path) as sink:
        await part.register()
        asked = await _fill(part)
        address = sink.address
        workers = [asyncio.ensure_future(_worker(service_database.dsn, address)) for _ in range(3)]
        for kill in range(1, KILLS + 1):
            goal = MAILS * kill // (KILLS + 2)
            await until("mails go on", partial(_arrived, tmp_path, goal))
            victim = await workers.pop(0)
            victim.kill()
            await victim.wait()
            workers.append(asyncio.ensure_future(_worker(service_database.dsn, address)))
        await until("every mail is done", lambda: _left(part), seconds=50)
        for worker in await asyncio.gather(*workers):
            worker.kill()
            await worker.wait()
    arrived = Counter(await asyncio.to_thread(_message_ids, tmp_path))
    assert set(arrived) == asked, "none is lost, and none has another Message-ID"
    twice = sum(count - 1 for count in arrived.values())
    record_property("came_twice", twice)
    assert twice <= KILLS * 4 * 2, "at most what the killed workers had under way and had not recorded"


async def _fill(part: Post) -> set[bytes]:
    """Puts MAILS mails into the outbox in one transaction; returns their Message-IDs."""
    first = await part.ask()
    content, now = first.content or b"", part.clock.now()
    names = [first.mail, *(uuid.uuid4() for _ in range(MAILS - 1))]
    async with part.database.transaction(["acme"]) as connection:
        for name in names[1:]:
            its_own = content.replace(str(first.mail).encode(), str(name).encode())
            new = replace(first, mail=name, request_id=name, content=its_own, create_time=now)
            assert await store.add(connection, new)
    return {f"<{name}@idv.example>".encode() for name in names}


def _message_ids(directory: Path) -> list[bytes]:
    return [_message_id(path.read_bytes()) for path in directory.glob("*.eml")]


def _message_id(content: bytes) -> bytes:
    (line,) = (line for line in content.split(b"\r\n") if line.startswith(b"Message-ID:"))
    return line.removeprefix(b"Message-ID: ")


async def _worker(dsn: str, server: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.mail_worker", dsn, server, "2"),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"sending\n"
    return process


def _arrived(directory: Path, goal: int) -> bool:
    return sum(1 for _ in directory.glob("*.eml")) >= goal


async def _left(part: Post) -> bool:
    async with part.database.transaction() as connection:
        return not (await connection.exec_driver_sql("SELECT 1 FROM notice.mail_work LIMIT 1")).first()
