"""Wiring of the retention service."""

from __future__ import annotations

from datetime import timedelta

from idv.retention.v1 import (
    deletions_pb2,
    deletions_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    rights_pb2,
    rights_pb2_grpc,
)

from services.retention.accesses import CustomerView
from services.retention.announcements import Announcements
from services.retention.api import DeletionApi, TransparencyLogApi
from services.retention.deletions import Deletions, DeletionTerms
from services.retention.expiries import Expiries
from services.retention.log import TransparencyLog
from services.retention.relaying import Relaying
from services.retention.relays import Relays
from services.retention.resumption import Resumption
from services.retention.rights import RightsApi
from services.retention.sealing import TargetSeal
from services.retention.settings import RetentionSettings
from services.retention.signing import LogSigner
from services.retention.storage_gateway import StorageGateway
from services.runtime.bootstrap import Runtime
from services.runtime.jobs import PeriodicJob


async def main(settings: RetentionSettings) -> None:
    """Serves until SIGTERM. Raises StartError, or IdvError UNAVAILABLE when the database is away."""
    signer = LogSigner.load(settings.log.origin, settings.log.signing_key, settings.log.former_keys)
    seal = TargetSeal.load(settings.request_key)
    terms = DeletionTerms(
        step=timedelta(seconds=settings.takeover_seconds), opening=timedelta(days=settings.opening_days)
    )
    async with Runtime.start(settings, service="retention") as runtime:
        database, clock = runtime.database, runtime.clock
        # Every erasure has its request id: while storage restarts, a call is repeated and not refused.
        storage = StorageGateway(
            runtime.channel(settings.storage_target, retried=["idv.storage.v1.StorageService"])
        )
        log = TransparencyLog(database, signer, clock)
        await log.open()
        deletions = Deletions(database, log, storage, seal, clock, terms)
        resumption = Resumption(database, deletions, clock, runtime.log, terms.step)
        expiries = Expiries(database, log, storage)
        notice = runtime.channel(settings.notice_target)
        announcements = Announcements(database, log, notice)
        relays = Relays(database, clock, settings.relay.terms)
        relaying = Relaying(database, notice, clock, runtime.log, settings.relay.terms)

        for name, seconds, run in (
            ("deletions", settings.jobs.deletions, resumption.run),
            ("destructions", settings.jobs.destructions, expiries.run),
            ("announcements", settings.jobs.announcements, announcements.run),
            ("relays", settings.jobs.relays, relaying.run),
        ):
            runtime.every(PeriodicJob(name, timedelta(seconds=seconds), run))

        for add, servicer, module, service in (
            (
                deletions_pb2_grpc.add_DeletionServiceServicer_to_server,
                DeletionApi(deletions, CustomerView(storage)),
                deletions_pb2,
                "DeletionService",
            ),
            (
                log_pb2_grpc.add_TransparencyLogServiceServicer_to_server,
                TransparencyLogApi(log),
                log_pb2,
                "TransparencyLogService",
            ),
            (
                rights_pb2_grpc.add_RightsServiceServicer_to_server,
                RightsApi(relays, storage),
                rights_pb2,
                "RightsService",
            ),
        ):
            runtime.add(add, servicer, module.DESCRIPTOR.services_by_name[service])
        await runtime.serve()
