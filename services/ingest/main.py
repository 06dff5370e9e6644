"""Wires and runs the ingest service."""

from __future__ import annotations

from datetime import timedelta

from idv.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from idv.notice.v1 import customers_pb2_grpc, notice_pb2_grpc
from idv.storage.v1 import storage_pb2_grpc

from services.ingest.admission import Admission
from services.ingest.api import IngestApi
from services.ingest.coalesce import Coalescer
from services.ingest.contract import Catalogue
from services.ingest.inspection import Inspector
from services.ingest.limits import BodyMemory, PixelMemory, RateLimit
from services.ingest.media.check import MediaLimits
from services.ingest.sessions import Sessions
from services.ingest.settings import IngestSettings
from services.ingest.standing import Standings
from services.ingest.submission import Submissions
from services.ingest.terms import LiveTerms
from services.ingest.tokens import Grants, TokenSigner
from services.ingest.uploads import Uploads
from services.runtime.bootstrap import Runtime
from services.runtime.tokens import TokenVerifier

_FIRST_TERMS_SECONDS = 5.0
"""How long the start waits for notice. Without it ingest serves all the same, and refuses data."""


async def main(settings: IngestSettings) -> None:
    """Runs until SIGTERM. Raises KeyFileError or ContractError before any port opens."""
    trust, limits = settings.session_tokens, settings.limits
    signer = TokenSigner.load(settings.session_key, issuer=trust.issuer, audience=trust.audience)
    catalogue = Catalogue()
    admission = Admission(catalogue)
    async with Runtime.start(settings, service="ingest") as runtime:
        # Every write has its request id: while storage restarts, a call is repeated and not refused.
        storage = storage_pb2_grpc.StorageServiceStub(
            runtime.channel(settings.storage_target, retried=["idv.storage.v1.StorageService"])
        )
        notice_channel = runtime.channel(settings.notice_target)
        notice = notice_pb2_grpc.NoticeServiceStub(notice_channel)
        standings = Standings(customers_pb2_grpc.CustomerServiceStub(notice_channel), catalogue)
        grants = Grants(_verifier(runtime))
        coalescer = Coalescer(storage, queue_bytes=limits.queue_bytes)
        calls = RateLimit(limits.calls_per_second, "submissions")
        upload_bytes = RateLimit(limits.upload_bytes_per_second, "bytes")
        inspector = Inspector(
            MediaLimits(**settings.media.model_dump()), PixelMemory(limits.memory_bytes // 2)
        )
        live = LiveTerms(notice, runtime.log, stale_seconds=settings.terms_stale_seconds)
        async with inspector, live as terms:
            sessions = Sessions(
                storage,
                terms,
                admission,
                attestation_age=timedelta(days=settings.attestation_days),
                open_seconds=settings.session_seconds,
            )
            submissions = Submissions(admission, grants, terms, coalescer, calls)
            uploads = Uploads(
                *(admission, grants, terms, inspector, coalescer, storage, upload_bytes),
                memory=BodyMemory(limits.memory_bytes // 2),
                inline_bytes=settings.inline_bytes,
                idle_seconds=limits.idle_seconds,
            )
            api = IngestApi(runtime.clock, sessions, submissions, uploads, signer, standings)
            runtime.add(
                ingest_pb2_grpc.add_IngestServiceServicer_to_server,
                api,
                ingest_pb2.DESCRIPTOR.services_by_name["IngestService"],
            )
            if not await terms.first(_FIRST_TERMS_SECONDS):
                runtime.log.warning("no terms of the notice yet: data is refused until they are known")
            await runtime.serve()


def _verifier(runtime: Runtime) -> TokenVerifier:
    verifier = runtime.session_tokens
    if verifier is None:  # the settings require it
        raise ValueError("the setting session_tokens is missing")
    return verifier
