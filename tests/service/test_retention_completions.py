"""Ends of deletions, reported by the real notice service: by mail and by signed webhook, each once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from idv import webhooks
from idv.aio_channel import AioChannel
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2
from idv.retention.v1 import deletions_pb2 as pb

from services.local.databases import DatabaseFactory
from services.local.mail import MailSink
from services.local.ports import free_port
from services.retention import completion_store
from services.retention.completing import Completing
from services.retention.store import Deletion
from tests.https_receiver import Receiver, receiver
from tests.notice_process import Process, running
from tests.retention_parts import HeldStorage, Retention, replica, serving
from tests.waiting import until

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SUBJECT = {"subject": "passport-holder-4711"}
SEVERAL = {"targets": {"0": {"record": "good"}, "1": {"record": "bad"}}}
TOLD = {"mail_state": pb.NOTIFICATION_STATE_ACCEPTED, "webhook_state": pb.NOTIFICATION_STATE_ACCEPTED}


@dataclass
class Desk:
    """A retention replica beside a notice service."""

    part: Retention
    storage: HeldStorage
    completing: Completing

    async def stored(self, deletion: Deletion) -> Deletion:
        return await self.part.deletions.get("acme", deletion.deletion)

    async def told(self, deletion: Deletion, **states: int) -> None:
        """Runs the job until both ways are as wanted: mail and webhook take their real time."""

        async def look() -> bool:
            self.part.clock.advance(minutes=16)
            await self.completing.run()
            now = await self.stored(deletion)
            return {name: getattr(now, name) for name in states} == states

        await until("the report gets that far", look)


@asynccontextmanager
async def desk(database_factory: DatabaseFactory, notice: AioChannel) -> AsyncIterator[Desk]:
    storage, made = HeldStorage(), await database_factory("retention")
    async with serving(storage) as address, replica(made, address) as part:
        completing = Completing(part.database, notice, part.clock, structlog.get_logger())
        yield Desk(part, storage, completing)


@dataclass
class Customer:
    """Where a Customer is told: its mailbox and its webhook."""

    process: Process
    sink: MailSink
    server: Receiver

    async def register(self, *, webhook: bool = True) -> None:
        customer = customers_pb2.Customer(
            name="customers/acme",
            display_name="Acme",
            email="privacy@acme.example",
            webhook_uri=f"https://localhost:{self.server.port}/ended" if webhook else "",
        )
        request = customers_pb2.CreateCustomerRequest(customer=customer, request_id=str(uuid4()))
        await self.process.customers().CreateCustomer(request)


@asynccontextmanager
async def customer(database_factory: DatabaseFactory, folder: Path) -> AsyncIterator[Customer]:
    (folder / "mail").mkdir()
    key = folder / "webhook.key"
    key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    notices = await database_factory("notice")
    async with MailSink(folder / "mail") as sink, receiver(folder) as server:
        webhook = {
            "signing_keys": [str(key)],
            "authority": str(folder / "ca.pem"),
            "allowed_networks": ["127.0.0.0/8", "::1/128"],
        }
        async with running(folder, notices, sink.address, webhook) as process:
            yield Customer(process, sink, server)


async def test_each_end_is_mailed_and_posted_once_and_names_nobody(
    database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    async with (
        customer(database_factory, tmp_path) as acme,
        desk(database_factory, acme.process.service("retention")) as at,
    ):
        await acme.register()
        done = await at.part.deletions.create("acme", uuid4(), SUBJECT)
        refused = IdvError(Reason.ERROR_REASON_NOT_FOUND, "no such record")
        at.storage.refuses = lambda target: refused if target.record == "bad" else None
        partial = await at.part.deletions.create("acme", uuid4(), SEVERAL)
        with pytest.raises(IdvError):
            await at.part.deletions.create("acme", uuid4(), {"record": "bad"})
        (failed,) = [
            one
            for one in await at.part.deletions.list("acme", 10, None)
            if one.state == pb.DELETION_STATE_FAILED
        ]
        for deletion in (done, partial, failed):
            await at.told(deletion, **TOLD)
        await at.completing.run()
        assert await _left(at) == 0
    key = webhooks.published(KEY.public_key())
    told = [
        webhooks.verify(body, headers, key, now=int(headers["webhook-timestamp"]))
        for _, headers, body in acme.server.requests
    ]
    states = {one.data["deletion"].rpartition("/")[2]: one.data["state"] for one in told}
    assert states == {
        str(done.deletion): "DONE",
        str(partial.deletion): "PARTIAL",
        str(failed.deletion): "FAILED",
    }
    assert len(told) == 3
    assert {frozenset(one.data) for one in told if one.data["state"] == "DONE"} == {
        frozenset(
            {"deletion", "scope", "state", "receive_time", "complete_time", "final_time"}
            | {"record_count", "session_count"}
        )
    }
    mails = acme.sink.messages()
    assert len(mails) == 3
    assert {str(done.deletion) in mail["Subject"] for mail in mails} == {True, False}
    words = b"".join(body for _, _, body in acme.server.requests) + b"".join(map(bytes, mails))
    assert SUBJECT["subject"].encode() not in words


async def test_a_crash_at_any_step_tells_it_once(database_factory: DatabaseFactory, tmp_path: Path) -> None:
    async with (
        customer(database_factory, tmp_path) as acme,
        desk(database_factory, acme.process.service("retention")) as at,
    ):
        await acme.register()
        done = await at.part.deletions.create("acme", uuid4(), SUBJECT)
        clock = at.part.clock
        async with at.part.database.transaction() as connection:  # taken by a process that died
            await completion_store.take(connection, clock.now(), clock.now())
        await at.told(done, **TOLD)
        async with at.part.database.transaction(["acme"]) as connection:  # and one that stored nothing
            await completion_store.add(connection, "acme", done.deletion, clock.now())
        await asyncio.gather(*(at.completing.run() for _ in range(3)))
        await at.told(done, **TOLD)
        assert (len(acme.server.requests), len(acme.sink.messages())) == (1, 1)


async def test_a_deletion_ends_whether_or_not_anyone_can_be_told(
    database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    async with desk(database_factory, _nowhere()) as at:
        done = await at.part.deletions.create("acme", uuid4(), SUBJECT)
        assert done.state == pb.DELETION_STATE_DONE
        await at.completing.run()
        assert (await at.stored(done)).mail_state is None
        assert await _left(at) == 1, "notice is away: it waits"
    async with (
        customer(database_factory, tmp_path) as acme,
        desk(database_factory, acme.process.service("retention")) as at,
    ):
        unknown = await at.part.deletions.create("acme", uuid4(), SUBJECT)
        nobody = pb.NOTIFICATION_STATE_NOT_ADDRESSED
        await at.told(unknown, mail_state=nobody, webhook_state=nobody)
        assert await _left(at) == 0, "no such Customer is registered: nobody waits for it"
        await acme.register(webhook=False)
        second = await at.part.deletions.create("acme", uuid4(), SUBJECT)
        await at.told(second, mail_state=pb.NOTIFICATION_STATE_ACCEPTED, webhook_state=nobody)


async def _left(at: Desk) -> int:
    async with at.part.database.transaction() as connection:
        counted = await connection.exec_driver_sql("SELECT count(*) FROM retention.completion_work")
        return int(counted.scalar_one())


def _nowhere() -> AioChannel:
    """A channel to a port on which nobody listens."""
    return AioChannel(lambda: grpc.aio.insecure_channel(f"127.0.0.1:{free_port()}"), timeout=2)
