"""Wires the storage service together and serves it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from idv.storage.v1 import closing_pb2, closing_pb2_grpc, storage_pb2, storage_pb2_grpc

from services.runtime.bootstrap import Runtime
from services.runtime.database import Database
from services.runtime.jobs import PeriodicJob
from services.storage.assembly import Storage, Surroundings, assemble
from services.storage.authority import LocalSlots
from services.storage.custody import open_slots
from services.storage.objects import Objects
from services.storage.settings import StorageSettings

_DESCRIPTOR = storage_pb2.DESCRIPTOR.services_by_name["StorageService"]
_CLOSING = closing_pb2.DESCRIPTOR.services_by_name["ClosingService"]


async def main(settings: StorageSettings) -> None:
    """Serves until SIGTERM. Raises UnsafeDatabaseError or IdvError when it cannot start."""
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime.start(settings, service="storage"))
        production = settings.environment == "production"
        slots = await open_slots(settings.keys, runtime.database, runtime.log, production=production)
        stack.callback(slots.close)
        owner = Database.open_owner(settings.database)
        stack.push_async_callback(owner.close)
        objects = await stack.enter_async_context(Objects(settings.objects))
        storage = assemble(
            _surroundings(settings, runtime, owner, objects, LocalSlots(slots)), settings.limits
        )
        await storage.days.prepare()
        await storage.drop_due_keys()  # the clocks are looked at before anything is served
        await objects.look_again(runtime.clock.now().date())
        await stack.enter_async_context(storage.writer)
        runtime.add(storage_pb2_grpc.add_StorageServiceServicer_to_server, storage.servicer, _DESCRIPTOR)
        runtime.add(closing_pb2_grpc.add_ClosingServiceServicer_to_server, storage.closing, _CLOSING)
        for job in _jobs(storage, settings):
            runtime.every(job)
        await runtime.serve()


def _surroundings(
    settings: StorageSettings, runtime: Runtime, owner: Database, objects: Objects, authority: LocalSlots
) -> Surroundings:
    if runtime.session_tokens is None:
        raise ValueError("the setting session_tokens is missing")
    return Surroundings(
        deployment=settings.deployment,
        clock=runtime.clock,
        clocks=runtime.clocks,
        guard=runtime.clock_guard(),
        log=runtime.log,
        telemetry=runtime.telemetry,
        session_tokens=runtime.session_tokens,
        database=runtime.database,
        owner=owner,
        objects=objects,
        authority=authority,
    )


def _jobs(storage: Storage, settings: StorageSettings) -> list[PeriodicJob]:
    often = timedelta(seconds=settings.expiry_seconds)
    return [
        PeriodicJob("prepare-days", timedelta(minutes=10), storage.days.prepare),
        PeriodicJob("drop-due-keys", often, storage.drop_due_keys, leased=False),
        PeriodicJob("expire", often, storage.expiry.run),
        PeriodicJob("resume-erasures", timedelta(minutes=1), storage.erasure.resume),
        PeriodicJob("number-accesses", timedelta(seconds=0.5), storage.numbering.run, leased=False),
        PeriodicJob("number-left-accesses", timedelta(seconds=10), storage.numbering.run_all),
        PeriodicJob("ageing", timedelta(hours=1), storage.ageing.run),
        PeriodicJob("sweep-orphans", timedelta(hours=1), storage.sweep.run),
    ]
