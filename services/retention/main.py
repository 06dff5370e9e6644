"""Wiring of the retention service."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from idv.cosignature import WitnessKey
from idv.retention.v1 import (
    deletions_pb2,
    deletions_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    offboarding_pb2,
    offboarding_pb2_grpc,
    rights_pb2,
    rights_pb2_grpc,
)

from services.retention import tiles
from services.retention.accesses import CustomerView
from services.retention.announcements import Announcements
from services.retention.api import DeletionApi
from services.retention.completing import Completing
from services.retention.corrections import Corrections
from services.retention.deletions import Deletions, DeletionTerms
from services.retention.expiries import Expiries
from services.retention.export_plan import Plans
from services.retention.exports import Exports
from services.retention.log import TransparencyLog
from services.retention.log_api import TransparencyLogApi
from services.retention.offboarding import Offboardings
from services.retention.offboarding_api import OffboardingApi
from services.retention.relaying import Relaying
from services.retention.relays import Relays
from services.retention.resumption import Resumption
from services.retention.rights import RightsApi
from services.retention.sealing import TargetSeal
from services.retention.settings import LogSettings, RetentionSettings
from services.retention.signing import LogSigner
from services.retention.statements import Statements
from services.retention.storage_gateway import StorageGateway
from services.retention.witnessed import WitnessedReceipts
from services.retention.witnesses import Witness, Witnesses
from services.runtime.bootstrap import Runtime
from services.runtime.jobs import PeriodicJob
from services.runtime.web_server import WebServer


async def main(settings: RetentionSettings) -> None:
    """Serves until SIGTERM. Raises StartError, or IdvError UNAVAILABLE when the database is away."""
    names = settings.log
    signer = LogSigner.load(names.origin, names.signing_key, names.former_keys, names.also_signing_keys)
    seal = TargetSeal.load(settings.request_key)
    terms = DeletionTerms(
        step=timedelta(seconds=settings.takeover_seconds),
        opening=timedelta(days=settings.opening_days),
        evidence=timedelta(days=settings.evidence_days),
    )
    async with Runtime.start(settings, service="retention") as runtime:
        database, clock = runtime.database, runtime.clock
        # Every erasure has its request id: while storage restarts, a call is repeated and not refused.
        retried = ["idv.storage.v1.StorageService", "idv.storage.v1.ClosingService"]
        calls = runtime.channel(settings.storage_target, retried=retried)
        storage = StorageGateway(calls)
        log = TransparencyLog(database, signer, clock)
        await log.open()
        deletions = Deletions(database, log, storage, seal, runtime.clocks, terms)
        resumption = Resumption(database, deletions, clock, runtime.log, terms.step)
        expiries = Expiries(database, log, storage)
        notice = runtime.channel(settings.notice_target)
        announcements = Announcements(database, log, notice)
        completing = Completing(database, notice, clock, runtime.log)
        witnesses = _witnesses(runtime, log, names)
        statements = Statements(database, log, storage, clock, runtime.log)
        plans = Plans(database, storage, seal, clock)
        corrections = Corrections(deletions, storage, clock)
        relays = Relays(database, clock, settings.relay.terms(terms.evidence))
        relaying = Relaying(
            database, notice, runtime.clocks, runtime.log, settings.relay.terms(terms.evidence)
        )
        offboardings = Offboardings(database, log, deletions, calls, notice, clock, runtime.log)
        view = CustomerView(storage, settings.access_streams)

        for name, seconds, run in (
            ("deletions", settings.jobs.deletions, resumption.run),
            ("destructions", settings.jobs.destructions, expiries.run),
            ("announcements", settings.jobs.announcements, announcements.run),
            ("relays", settings.jobs.relays, relaying.run),
            ("offboardings", settings.jobs.deletions, offboardings.run),
            ("completions", settings.jobs.completions, completing.run),
            ("exports", settings.jobs.exports, plans.forget_due),
            ("witnesses", settings.jobs.witnesses, witnesses.run),
            ("statements", settings.jobs.statements, statements.run),
        ):
            runtime.every(PeriodicJob(name, timedelta(seconds=seconds), run))

        for add, servicer, module, service in (
            (
                deletions_pb2_grpc.add_DeletionServiceServicer_to_server,
                DeletionApi(deletions, view, WitnessedReceipts(log, witnesses)),
                deletions_pb2,
                "DeletionService",
            ),
            (
                log_pb2_grpc.add_TransparencyLogServiceServicer_to_server,
                TransparencyLogApi(log, witnesses, statements),
                log_pb2,
                "TransparencyLogService",
            ),
            (
                offboarding_pb2_grpc.add_OffboardingServiceServicer_to_server,
                OffboardingApi(offboardings),
                offboarding_pb2,
                "OffboardingService",
            ),
            (
                rights_pb2_grpc.add_RightsServiceServicer_to_server,
                RightsApi(relays, storage, Exports(plans, storage, notice), corrections),
                rights_pb2,
                "RightsService",
            ),
        ):
            runtime.add(add, servicer, module.DESCRIPTOR.services_by_name[service])
        async with AsyncExitStack() as stack:
            if settings.listen_tiles:
                files = tiles.application(log, witnesses)
                served = "log served as tiles"
                web = WebServer(files, settings.listen_tiles, runtime.log, served=served)
                await stack.enter_async_context(web)
            await runtime.serve()


def _witnesses(runtime: Runtime, log: TransparencyLog, settings: LogSettings) -> Witnesses:
    attempts = runtime.telemetry.meter.create_counter(
        "idv.witness.attempts", description="Attempts to have a checkpoint cosigned, by outcome."
    )
    return Witnesses(
        runtime.database,
        log,
        [Witness(one.url, WitnessKey.parse(one.key)) for one in settings.witnesses],
        settings.quorum,
        runtime.log,
        lambda outcome: attempts.add(1, {"outcome": outcome}),
    )
