"""A correction is logged with a receipt, or never was: whoever dies, and whenever."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from idv import receipts
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.types.v1 import data_pb2

from services.local.databases import ServiceDatabase
from services.retention.corrections import Corrections
from services.retention.storage_gateway import StorageGateway
from services.retention.store import Deletion
from tests.retention_parts import (
    SIGNER,
    AsyncExit,
    HeldStorage,
    Retention,
    replica,
    serving,
    unavailable,
)

CUSTOMER = "acme"
SESSION = "01a20cff-7d00-7433-9327-8d27fa38d258"
RECORD = f"customers/{CUSTOMER}/sessions/{SESSION}/records/01a20cff-7d00-8433-9327-8d27fa38d258"
CORRECT = """
import asyncio, sys
from services.local.databases import ServiceDatabase
from tests.service.test_retention_corrections import correct

asyncio.run(correct(ServiceDatabase("retention", "", sys.argv[1], "", ""), *sys.argv[2:]))
"""


async def correct(database: ServiceDatabase, storage: str, request_id: str) -> tuple[str, str]:
    """Corrects the record in a replica of its own; the new record's name and the deletion's."""
    items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-200"))
    request = rights_pb2.CorrectRecordRequest(name=RECORD, request_id=request_id, items=items)
    async with replica(database, storage) as part, AsyncExit(database, storage) as (_, channel):
        record, deletion = await Corrections(part.deletions, StorageGateway(channel), part.clock).correct(
            request
        )
        return record.name, deletion


@asynccontextmanager
async def process(
    database: ServiceDatabase, storage: str, request_id: UUID
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that corrects the record."""
    arguments = (database.dsn, storage, str(request_id))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CORRECT, *arguments)
    try:
        yield child
    finally:
        if child.returncode is None:
            os.kill(child.pid, signal.SIGKILL)
        await child.wait()


class Held:
    """A point at which storage waits for the test."""

    def __init__(self) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: object) -> None:
        self.reached.set()
        await self.go_on.wait()


async def resumed(part: Retention) -> list[Deletion]:
    """What the ledger holds once the job has looked at everything."""
    part.clock.advance(minutes=5)
    await part.resumption.run()
    return await part.deletions.list(CUSTOMER, 10, None)


@pytest.mark.parametrize("point", ["before", "after"])
async def test_killed_before_or_after_the_correction_it_is_given_up_or_logged(
    service_database: ServiceDatabase, point: str
) -> None:
    storage, request_id, held = HeldStorage(), uuid4(), Held()
    setattr(storage, point, held)
    async with serving(storage) as address, process(service_database, address, request_id) as child:
        await asyncio.wait_for(held.reached.wait(), 30)
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        setattr(storage, point, None)
        async with replica(service_database, address) as part:
            ledger = await resumed(part)
            rows, _ = await part.log.leaves(0, 100)
            held.go_on.set()
            if point == "before":
                assert (ledger, list(rows), storage.corrections) == ([], [], {})
            else:
                (done,) = ledger
                assert (done.state, done.scope) == (deletions_pb2.DELETION_STATE_DONE, "record")
                assert done.sealed_target is None
                assert receipts.verify(done.receipt or "", SIGNER.published()).leaf_index == 0
            name, deletion = await correct(service_database, address, str(request_id))
            assert name == f"{RECORD}-right"
            (done,) = await part.deletions.list(CUSTOMER, 10, None)
            assert deletion.endswith(str(done.deletion))
            assert [row.source for row in (await part.log.leaves(0, 9))[0]] == [f"deletion/{done.deletion}"]
            assert await correct(service_database, address, str(request_id)) == (name, deletion)


async def test_a_call_that_comes_too_late_changes_nothing_and_its_repeat_begins_anew(
    service_database: ServiceDatabase,
) -> None:
    storage, request_id, held = HeldStorage(), uuid4(), Held()
    storage.before = held
    async with serving(storage) as address, replica(service_database, address) as part:
        late = asyncio.create_task(correct(service_database, address, str(request_id)))
        await asyncio.wait_for(held.reached.wait(), 30)
        assert await resumed(part) == []
        held.go_on.set()
        with pytest.raises(IdvError) as told:
            await late
        assert (told.value.reason_name, storage.corrections) == ("UNAVAILABLE", {})
        _, deletion = await correct(service_database, address, str(request_id))
        (done,) = await part.deletions.list(CUSTOMER, 10, None)
        assert deletion.endswith(str(done.deletion))


async def test_what_storage_refuses_leaves_no_trace_and_its_absence_leaves_the_intent(
    service_database: ServiceDatabase,
) -> None:
    storage, request_id = HeldStorage(), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        for reason, left in (
            (Reason.ERROR_REASON_ERASED, 0),
            (Reason.ERROR_REASON_REQUEST_ID_REUSED, 0),
            (unavailable().reason, 1),
        ):
            storage.refusal = IdvError(reason, "refused")
            with pytest.raises(IdvError) as told:
                await correct(service_database, address, str(request_id))
            assert told.value.reason == reason
            assert len(await part.deletions.list(CUSTOMER, 10, None)) == left
        storage.refusal = None
        assert (await correct(service_database, address, str(request_id)))[0] == f"{RECORD}-right"


async def test_a_request_id_is_of_a_deletion_or_of_a_correction(service_database: ServiceDatabase) -> None:
    storage, request_id = HeldStorage(), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        await part.deletions.create(CUSTOMER, request_id, {"record": RECORD})
        with pytest.raises(IdvError) as told:
            await correct(service_database, address, str(request_id))
        assert told.value.reason_name == "REQUEST_ID_REUSED"
        assert storage.corrections == {}
