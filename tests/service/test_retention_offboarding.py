"""A Customer leaves: one leaf and one receipt, wherever the process that carries it on is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
import pytest
import structlog
from idv import receipts
from idv.aio_channel import AioChannel
from idv.errors import IdvError, Reason
from idv.notice.v1 import completions_pb2, completions_pb2_grpc, customers_pb2, customers_pb2_grpc
from idv.retention.v1 import deletions_pb2
from idv.retention.v1 import offboarding_pb2 as pb
from idv.storage.v1 import closing_pb2, closing_pb2_grpc, storage_pb2, storage_pb2_grpc

from services.local.databases import ServiceDatabase
from services.retention.completing import Completing
from services.retention.offboarding import Offboardings
from tests.retention_parts import SIGNER, HeldStorage, Retention, abort, replica, stamp
from tests.set_clock import START

STEPS = ("SetCustomerState 2", "CloseCustomer", "EraseRecords", "ReportDeletion", "SetCustomerState 3")


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Others(
    customers_pb2_grpc.CustomerServiceServicer,
    completions_pb2_grpc.CompletionServiceServicer,
    closing_pb2_grpc.ClosingServiceServicer,
    storage_pb2_grpc.StorageServiceServicer,
):
    """Storage and notice as the contract has them, for one Customer; a test makes steps fail."""

    storage: HeldStorage = field(default_factory=HeldStorage)
    fails: Callable[[str], bool] = lambda step: False
    registered: bool = True
    done: list[str] = field(default_factory=list)

    async def _step(self, name: str, context: Any) -> None:
        if self.fails(name):
            await abort(context, IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away"))
        if name not in self.done:
            self.done.append(name)

    async def SetCustomerState(self, request: Any, context: Any) -> Any:
        if not self.registered:
            await abort(context, IdvError(Reason.ERROR_REASON_NOT_FOUND, "nobody"))
        await self._step(f"SetCustomerState {request.state}", context)
        return customers_pb2.SetCustomerStateResponse()

    async def CloseCustomer(self, request: Any, context: Any) -> Any:
        await self._step("CloseCustomer", context)
        return closing_pb2.CloseCustomerResponse(close_time=stamp(START))

    async def EraseRecords(
        self, request: storage_pb2.EraseRecordsRequest, context: Any
    ) -> storage_pb2.EraseRecordsResponse:
        await self._step("EraseRecords", context)
        return await self.storage.EraseRecords(request, context)

    async def ReportDeletion(self, request: Any, context: Any) -> Any:
        await self._step("ReportDeletion", context)
        queued = deletions_pb2.NOTIFICATION_STATE_QUEUED
        return completions_pb2.ReportDeletionResponse(mail_state=queued, webhook_state=queued)


def served(**values: Any) -> Others:
    """The others; what a test calls is served."""
    return Others(**values)  # type: ignore[abstract]  # the rest of four contracts is not called


@dataclass
class Desk:
    """A retention replica beside the others."""

    others: Others
    part: Retention
    offboardings: Offboardings
    completing: Completing

    async def carried_on(self) -> pb.OffboardingState.ValueType:
        """A minute passes and every job runs, as often as there are steps."""
        for _ in range(len(STEPS)):
            self.part.clock.advance(minutes=5)
            await self.part.resumption.run()
            await self.completing.run()
            await self.offboardings.run()
        return (await self.offboardings.get("acme")).state


@asynccontextmanager
async def desk(database: ServiceDatabase, others: Others) -> AsyncIterator[Desk]:
    server = grpc.aio.server()
    customers_pb2_grpc.add_CustomerServiceServicer_to_server(others, server)
    completions_pb2_grpc.add_CompletionServiceServicer_to_server(others, server)
    closing_pb2_grpc.add_ClosingServiceServicer_to_server(others, server)
    storage_pb2_grpc.add_StorageServiceServicer_to_server(others, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    channel = AioChannel(lambda: grpc.aio.insecure_channel(address), timeout=20)
    try:
        async with replica(database, address) as part:
            logger = structlog.get_logger()
            offboardings = Offboardings(
                *(part.database, part.log, part.deletions, channel, channel, part.clock, logger)
            )
            yield Desk(*(others, part, offboardings), Completing(part.database, channel, part.clock, logger))
    finally:
        await channel.close()
        await server.stop(grace=0)


async def ended(desk: Desk) -> None:
    """It is over: one leaf of it, after that of the deletion, and one receipt for whoever asks."""
    assert await desk.carried_on() == pb.OFFBOARDING_STATE_DONE
    assert tuple(desk.others.done) == STEPS
    found = await desk.offboardings.begin("acme", uuid4())
    rows, _ = await desk.part.log.leaves(0, 100)
    assert [row.source for row in rows] == [f"deletion/{found.deletion}", "offboarding/acme"]
    proven = receipts.verify(found.receipt or "", SIGNER.published())
    assert (proven.kind, proven.leaf_index) == ("customer_offboarding", 1)
    assert proven.entry["customer"] == "customers/acme"
    assert (proven.entry["record_count"], proven.entry["deletion_leaf"]) == (9, 0)
    assert len(desk.others.storage.erasures) == 1


async def test_it_goes_through_its_steps_in_order_and_a_repeat_answers_the_same(
    service_database: ServiceDatabase,
) -> None:
    async with desk(service_database, served()) as at:
        first = await at.offboardings.begin("acme", uuid4())
        assert first.state == pb.OFFBOARDING_STATE_TELLING, "notice is told by a job"
        assert at.others.done == list(STEPS[:3])
        await ended(at)


async def test_who_is_not_registered_is_refused_and_nothing_begins(service_database: ServiceDatabase) -> None:
    async with desk(service_database, served(registered=False)) as at:
        for call in (at.offboardings.begin("acme", uuid4()), at.offboardings.get("acme")):
            with pytest.raises(IdvError) as caught:
                await call
            assert caught.value.reason_name == "NOT_FOUND"
        assert at.others.done == []


@pytest.mark.parametrize("step", STEPS[1:])
async def test_what_is_away_is_waited_for(service_database: ServiceDatabase, step: str) -> None:
    away = True
    others = served(fails=lambda name: away and name == step)
    async with desk(service_database, others) as at:
        await at.offboardings.begin("acme", uuid4())
        assert await at.carried_on() != pb.OFFBOARDING_STATE_DONE
        away = False
        await ended(at)


async def begun_and_carried_on(at: Desk) -> None:
    await at.offboardings.begin("acme", uuid4())
    await at.carried_on()


@pytest.mark.parametrize("point", ["_close", "_delete", "_told", "_remove", "_complete", "_advance"])
@pytest.mark.parametrize("after", [False, True])
async def test_ended_at_each_step_another_process_goes_on(
    service_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch, point: str, after: bool
) -> None:
    others = served()
    async with desk(service_database, others) as at:
        whole = getattr(at.offboardings, point)

        async def dies(*arguments: Any, **values: Any) -> Any:
            if after:
                await whole(*arguments, **values)
            raise Killed

        monkeypatch.setattr(at.offboardings, point, dies)
        with pytest.raises(Killed):
            await begun_and_carried_on(at)
    async with desk(service_database, others) as at:
        at.part.clock.advance(minutes=60)
        await ended(at)


async def test_two_processes_at_once_log_it_once(service_database: ServiceDatabase) -> None:
    others = served()
    async with desk(service_database, others) as one, desk(service_database, others) as two:
        await asyncio.gather(*(at.offboardings.begin("acme", uuid4()) for at in (one, two)))
        await asyncio.gather(one.carried_on(), two.carried_on())
        await ended(one)
