"""kill -9 of a retention process at each step of a deletion: it still ends with one leaf and one receipt."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest
from idv import merkle, receipts
from idv.retention.v1 import deletions_pb2 as pb

from services.local.databases import ServiceDatabase
from tests.retention_parts import SIGNER, HeldStorage, Retention, replica, serving
from tests.waiting import until

CUSTOMER = "acme"
SUBJECT = {"subject": "passport-holder-4711"}
WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
CREATE = """
import asyncio, sys, uuid
from services.local.databases import ServiceDatabase
from tests.retention_parts import replica

async def main(dsn, storage, request_id, subject):
    database = ServiceDatabase("retention", "", dsn, "", "")
    async with replica(database, storage) as part:
        await part.deletions.create("acme", uuid.UUID(request_id), {"subject": subject})

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def process(
    database: ServiceDatabase, storage: str, request_id: UUID
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that deletes the subject."""
    arguments = (database.dsn, storage, str(request_id), SUBJECT["subject"])
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CREATE, *arguments)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def kill(child: asyncio.subprocess.Process) -> None:
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()


async def carried_on(part: Retention, storage: HeldStorage, request_id: UUID) -> None:
    """The job ends the deletion; then log, row and receipt are as if nothing had happened."""
    part.clock.advance(minutes=5)
    await part.resumption.run()
    done = await part.deletions.create(CUSTOMER, request_id, SUBJECT)
    await part.resumption.run()
    assert done.state == pb.DELETION_STATE_DONE
    assert done.sealed_target is None
    assert await part.deletions.create(CUSTOMER, request_id, SUBJECT) == done
    assert list(storage.erasures) == [str(done.deletion)], "storage saw one erasure, under one id"
    rows, size = await part.log.leaves(0, 100)
    assert [row.source for row in rows] == [f"deletion/{done.deletion}"]
    assert receipts.verify(done.receipt or "", SIGNER.published()).leaf_index == 0
    head = await part.log.head()
    assert (head.size, head.root) == (size, merkle.root([merkle.leaf_hash(row.leaf_data) for row in rows]))
    assert len(await part.deletions.list(CUSTOMER, 10, None)) == 1


class Held:
    """A point at which storage waits for the test."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, _: object) -> None:
        self.reached.set()
        await self.go_on.wait()


@pytest.mark.parametrize("point", ["before", "after"])
async def test_killed_before_storage_erases_and_before_it_answers(
    service_database: ServiceDatabase, point: str
) -> None:
    storage, request_id, held = HeldStorage(), uuid4(), Held()
    setattr(storage, point, held)
    async with serving(storage) as address, process(service_database, address, request_id) as child:
        await asyncio.wait_for(held.reached.wait(), 30)
        await kill(child)
        held.go_on.set()
        async with replica(service_database, address) as part:
            await carried_on(part, storage, request_id)


async def test_killed_inside_of_the_transaction_that_logs(service_database: ServiceDatabase) -> None:
    storage, request_id, held = HeldStorage(), uuid4(), Held()
    storage.after = held
    async with serving(storage) as address, process(service_database, address, request_id) as child:
        await asyncio.wait_for(held.reached.wait(), 30)
        holder = await asyncpg.connect(service_database.admin_dsn)
        try:
            await holder.execute("SELECT pg_advisory_lock(hashtextextended('idv.retention.log', 0))")
            held.go_on.set()

            async def waits() -> bool | None:
                return bool(await holder.fetchval(WAITING)) or None

            waiting: bool = await until("the process waits for its turn to append", waits)
            assert waiting
            await kill(child)
        finally:
            await holder.close()
        async with replica(service_database, address) as part:
            await carried_on(part, storage, request_id)


@pytest.mark.parametrize("milliseconds", [0, 3, 6, 12, 25])
async def test_killed_at_any_moment(service_database: ServiceDatabase, milliseconds: int) -> None:
    storage, request_id = HeldStorage(), uuid4()
    begun = asyncio.Event()

    async def mark(_: object) -> None:
        begun.set()

    storage.after = mark
    async with serving(storage) as address, process(service_database, address, request_id) as child:
        await asyncio.wait_for(begun.wait(), 30)
        await asyncio.sleep(milliseconds / 1000)  # any moment will do: what must hold holds after each
        if child.returncode is None:
            await kill(child)
        async with replica(service_database, address) as part:
            await carried_on(part, storage, request_id)
