"""Wires the storage service together and serves it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from idv.storage.v1 import storage_pb2, storage_pb2_grpc

from services.runtime.bootstrap import Runtime
from services.runtime.database import Database
from services.runtime.jobs import PeriodicJob
from services.storage.assembly import Storage, Surroundings, assemble
from services.storage.authority import LocalSlots
from services.storage.disk import copying_file_system
from services.storage.epochs import SLOTS_A_DAY
from services.storage.objects import Objects
from services.storage.settings import StorageSettings
from services.storage.slots import SlotFile, SlotFileError

_DESCRIPTOR = storage_pb2.DESCRIPTOR.services_by_name["StorageService"]


async def main(settings: StorageSettings) -> None:
    """Serves until SIGTERM. Raises SlotFileError, UnsafeDatabaseError or IdvError when it cannot start."""
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime.start(settings, service="storage"))
        authority = LocalSlots(_slot_file(settings, runtime))
        owner = Database.open_owner(settings.database)
        stack.push_async_callback(owner.close)
        objects = await stack.enter_async_context(Objects(settings.objects))
        storage = assemble(_surroundings(settings, runtime, owner, objects, authority), settings.limits)
        await storage.days.prepare()
        await stack.enter_async_context(storage.writer)
        runtime.add(storage_pb2_grpc.add_StorageServiceServicer_to_server, storage.servicer, _DESCRIPTOR)
        for job in _jobs(storage, settings):
            runtime.every(job)
        await runtime.serve()


def _slot_file(settings: StorageSettings, runtime: Runtime) -> SlotFile:
    """Opens the slot file, made if absent, where destroyed keys are really overwritten."""
    file = settings.keys.file
    SlotFile.create(file, settings.keys.slots)
    copying = copying_file_system(file)
    if copying and settings.environment == "production":
        raise SlotFileError(
            f"{file} lies on {copying}, which keeps what is overwritten: move it to a local disk"
        )
    if copying:
        runtime.log.warning("destroyed keys may survive below the file system", state=copying)
    slots = SlotFile(file)
    free = slots.free()
    if free < SLOTS_A_DAY:
        runtime.log.warning("key slots run out", count=free, remedy="give the key file more slots")
    return slots


def _surroundings(
    settings: StorageSettings, runtime: Runtime, owner: Database, objects: Objects, authority: LocalSlots
) -> Surroundings:
    if runtime.session_tokens is None:
        raise ValueError("the setting session_tokens is missing")
    return Surroundings(
        deployment=settings.deployment,
        clock=runtime.clock,
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
        PeriodicJob("sweep-orphans", timedelta(hours=1), storage.sweep.run),
    ]
