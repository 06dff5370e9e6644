"""Parts of the retention service in a test: the real database, and a storage that a test can hold still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.timestamp_pb2 import Timestamp
from idv.aio_channel import AioChannel
from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2 as pb
from idv.storage.v1 import storage_pb2_grpc
from idv.types.v1 import processing_pb2

from services.local.databases import ServiceDatabase
from services.retention.deletions import Deletions, DeletionTerms
from services.retention.expiries import Expiries
from services.retention.log import TransparencyLog
from services.retention.resumption import Resumption
from services.retention.sealing import TargetSeal
from services.retention.signing import LogSigner
from services.retention.storage_gateway import StorageGateway
from services.runtime.both_clocks import BothClocks
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.set_clock import START, SetClock, SetDatabaseClock

ORIGIN = "idv.example/log"
FINAL_TIME = datetime(2026, 12, 24, 10, 15, tzinfo=UTC)
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = LogSigner(ORIGIN, SIGNING_KEY)
REQUEST_KEY = bytes(range(32, 64))
TERMS = DeletionTerms(step=timedelta(seconds=60), opening=timedelta(days=30))


@dataclass
class HeldStorage:
    """Erases once for each request id, as the contract says; a test decides what happens meanwhile."""

    erasures: dict[str, pb.EraseRecordsRequest] = field(default_factory=dict)
    calls: int = 0
    before: Callable[[Any], Awaitable[None]] | None = None
    after: Callable[[Any], Awaitable[None]] | None = None
    refusal: IdvError | None = None
    refuses: Callable[[pb.ErasureTarget], IdvError | None] = lambda target: None
    rounds: int = 1
    """Calls that an erasure takes; while more are to come, it is answered as running."""
    given_up: set[str] = field(default_factory=set)
    corrections: dict[str, pb.CorrectRecordRequest] = field(default_factory=dict)
    asked_of: dict[str, int] = field(default_factory=dict)
    destroyed: list[pb.Destruction] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    async def EraseRecords(self, request: pb.EraseRecordsRequest, context: Any) -> pb.EraseRecordsResponse:
        self.calls += 1
        if request.begun_only and request.request_id not in self.erasures:
            self.given_up.add(request.request_id)
            return pb.EraseRecordsResponse(erase_time=stamp(START), final_time=stamp(START))
        if self.refusal is not None:
            await abort(context, self.refusal)
        refusal = self.refuses(request.target)
        if refusal is not None:
            await abort(context, refusal)
        if self.before is not None:
            await self.before(request)
        self.erasures.setdefault(request.request_id, request)
        if self.after is not None:
            await self.after(request)
        done = self.asked_of[request.request_id] = self.asked_of.get(request.request_id, 0) + 1
        if done < self.rounds:
            return pb.EraseRecordsResponse(
                running=True, record_count=done, days_done=done, days_total=self.rounds
            )
        return pb.EraseRecordsResponse(
            record_count=9,
            session_count=2,
            object_count=3,
            erase_time=stamp(START),
            final_time=stamp(FINAL_TIME),
            claim="overwritten in place on one host",
        )

    async def GetSession(self, request: pb.GetSessionRequest, context: Any) -> pb.GetSessionResponse:
        session = processing_pb2.Session(name=request.name, items=["device.hardware"])
        return pb.GetSessionResponse(session=session)

    async def CorrectRecord(self, request: pb.CorrectRecordRequest, context: Any) -> pb.CorrectRecordResponse:
        if self.before is not None:
            await self.before(request)
        if request.deletion in self.given_up:
            await abort(context, IdvError(Reason.ERROR_REASON_WRONG_STATE, "given up"))
        if self.refusal is not None:
            await abort(context, self.refusal)
        first = self.corrections.setdefault(request.request_id, request)
        target = pb.ErasureTarget(record=request.name)
        self.erasures[first.deletion] = pb.EraseRecordsRequest(request_id=first.deletion, target=target)
        if self.after is not None:
            await self.after(request)
        record = processing_pb2.Record(name=f"{request.name}-right", supersedes=request.name)
        return pb.CorrectRecordResponse(record=record, deletion=first.deletion)

    async def PreviewErasure(
        self, request: pb.PreviewErasureRequest, context: Any
    ) -> pb.PreviewErasureResponse:
        self.asked.append(request)
        refusal = self.refuses(request.target)
        if refusal is not None:
            await abort(context, refusal)
        return pb.PreviewErasureResponse(record_count=9, session_count=2)

    async def SetRestriction(
        self, request: pb.SetRestrictionRequest, context: Any
    ) -> pb.SetRestrictionResponse:
        self.asked.append(request)
        return pb.SetRestrictionResponse(record_count=4, expire_time=stamp(FINAL_TIME))

    async def SetOptOut(self, request: pb.SetOptOutRequest, context: Any) -> pb.SetOptOutResponse:
        self.asked.append(request)
        return pb.SetOptOutResponse(opt_out_time=stamp(START) if request.opted_out else None)

    async def ListDestructions(self, request: pb.ListDestructionsRequest, context: Any) -> Any:
        page = [one for one in self.destroyed if one.sequence > request.after]
        return pb.ListDestructionsResponse(destructions=page[: request.page_size or 100])

    async def ListRecords(self, request: pb.ListRecordsRequest, context: Any) -> pb.ListRecordsResponse:
        self.asked.append(request)
        record = processing_pb2.Record(name=f"{request.session or request.parent}/records/one")
        return pb.ListRecordsResponse(records=[record], next_page_token="more")

    async def ListAccesses(self, request: pb.ListAccessesRequest, context: Any) -> pb.ListAccessesResponse:
        self.asked.append(request)
        access = processing_pb2.Access(record="one", service="verification")
        return pb.ListAccessesResponse(accesses=[access], next_page_token="more")

    def destroy(self, *sequences: int) -> None:
        """Reports keys as destroyed."""
        self.destroyed += [
            pb.Destruction(
                sequence=sequence,
                kind=pb.DESTRUCTION_KIND_KEY if sequence % 3 else pb.DESTRUCTION_KIND_DAY,
                day="2026-10-25",
                slot=sequence % 104,
                due_time=stamp(START),
                destroy_time=stamp(START + timedelta(seconds=sequence)),
                record_count=100 * sequence,
            )
            for sequence in sequences
        ]
        self.destroyed.sort(key=lambda one: one.sequence)


_SERVED = (
    *("EraseRecords", "PreviewErasure", "ListDestructions", "ListRecords", "ListAccesses"),
    *("SetRestriction", "SetOptOut", "GetSession", "CorrectRecord"),
)


async def abort(context: Any, error: IdvError) -> None:
    """Ends the call as the suite's servers do."""
    trailers = (("grpc-status-details-bin", error.to_status().SerializeToString()),)
    await context.abort(error.code, error.message, trailing_metadata=trailers)


def unavailable() -> IdvError:
    return IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away")


def stamp(time: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(time)
    return made


@asynccontextmanager
async def serving(
    storage: HeldStorage, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[str]:
    """The address on loopback at which `storage` serves, in plain text unless credentials are given."""
    servicer = storage_pb2_grpc.StorageServiceServicer()  # type: ignore[abstract]  # the rest is not called
    for method in _SERVED:
        setattr(servicer, method, getattr(storage, method))
    server = grpc.aio.server()
    storage_pb2_grpc.add_StorageServiceServicer_to_server(servicer, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=0)


def together(clock: SetClock) -> BothClocks:
    """Both clocks of a replica, which agree."""
    return BothClocks(clock, SetDatabaseClock(clock))


@dataclass
class Retention:
    """One replica: what `services.retention.main` wires, without ports."""

    database: Database
    clock: SetClock
    log: TransparencyLog
    deletions: Deletions
    resumption: Resumption
    expiries: Expiries
    database_clock: SetDatabaseClock


@asynccontextmanager
async def replica(
    database: ServiceDatabase, storage: str, clock: SetClock | None = None, signer: LogSigner = SIGNER
) -> AsyncIterator[Retention]:
    """A replica on the database that calls storage at that address."""
    clock = clock or SetClock()
    database_clock = SetDatabaseClock(clock)
    async with AsyncExit(database, storage) as (opened, channel):
        gateway = StorageGateway(channel)
        log = TransparencyLog(opened, signer, clock)
        await log.open()
        deletions = Deletions(
            opened, log, gateway, TargetSeal(REQUEST_KEY), BothClocks(clock, database_clock), TERMS
        )
        logger = structlog.get_logger()
        resumption = Resumption(opened, deletions, clock, logger, TERMS.step)
        expiries = Expiries(opened, log, gateway)
        yield Retention(opened, clock, log, deletions, resumption, expiries, database_clock)


class AsyncExit:
    """Opens the database and the channel of a replica, and closes both."""

    def __init__(self, database: ServiceDatabase, storage: str) -> None:
        self._database = Database.open(DatabaseSettings(dsn=database.dsn))
        self._channel = AioChannel(lambda: grpc.aio.insecure_channel(storage), timeout=20)

    async def __aenter__(self) -> tuple[Database, AioChannel]:
        await self._database.__aenter__()
        return self._database, self._channel

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()
        await self._database.close()
