"""The storage service in a test: real database, objects and keys; the clock stands where a test sets it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError
from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import processing_pb2
from joserfc import jwt
from joserfc.jwk import OKPKey
from pydantic import SecretStr

from services.local.databases import ServiceDatabase
from services.local.objects import ObjectStore
from services.runtime.both_clocks import BothClocks
from services.runtime.clock_guard import ClockGuard
from services.runtime.database import Database
from services.runtime.identity import Caller, CallerKind, run_as
from services.runtime.settings import DatabaseSettings, TelemetrySettings
from services.runtime.telemetry import Telemetry
from services.runtime.tokens import TokenVerifier
from services.storage.assembly import Storage, Surroundings, assemble
from services.storage.authority import LocalSlots
from services.storage.objects import Objects
from services.storage.settings import ObjectSettings, StorageLimits
from services.storage.slots import SlotFile
from tests.set_clock import SetClock, SetDatabaseClock

START = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
PURPOSES = (processing_pb2.PURPOSE_VERIFICATION, processing_pb2.PURPOSE_TROUBLESHOOTING)
ITEMS = ("device.hardware", "log", "face_image")


@dataclass
class Servers:
    """What replicas of one storage service share."""

    database: ServiceDatabase
    objects: ObjectStore
    directory: Path
    bucket_prefix: str = field(default_factory=lambda: f"idv-{uuid4().hex[:8]}-")
    clock: SetClock = field(default_factory=lambda: SetClock(START))
    jumps_are_meant: bool = True
    signing_key: OKPKey = field(default_factory=lambda: OKPKey.generate_key("Ed25519", {"kid": "test"}))

    @property
    def slot_file(self) -> Path:
        return self.directory / "slots"

    @asynccontextmanager
    async def replica(self, limits: StorageLimits | None = None) -> AsyncIterator[Replica]:
        """One process's worth of the service."""
        jwks = self.directory / "jwks"
        jwks.write_text(json.dumps({"keys": [self.signing_key.as_dict(private=False)]}))
        settings = DatabaseSettings(
            dsn=SecretStr(self.database.dsn), owner_dsn=SecretStr(self.database.owner_dsn)
        )
        keys = self.objects.identity("storage")
        object_settings = ObjectSettings(
            endpoint=self.objects.endpoint,
            access_key=SecretStr(keys.access_key),
            secret_key=SecretStr(keys.secret_key),
            bucket_prefix=self.bucket_prefix,
        )
        SlotFile.create(self.slot_file, 1024)
        verifier = TokenVerifier(
            jwks, issuer="idv-ingest", audience="idv-upload", clock=self.clock, session_tokens=True
        )
        telemetry = Telemetry(TelemetrySettings(), service="storage", deployment="test")
        async with AsyncExitStack() as stack:
            await verifier.refresh()
            database = await stack.enter_async_context(Database.open(settings))
            owner = Database.open_owner(settings)
            stack.push_async_callback(owner.close)
            log = structlog.get_logger()
            database_clock = SetDatabaseClock(self.clock)
            clocks = BothClocks(self.clock, database_clock)
            guard = ClockGuard(
                database, clocks, log, telemetry, schema="storage", confirms_itself=self.jumps_are_meant
            )
            around = Surroundings(
                deployment="test",
                clock=self.clock,
                clocks=clocks,
                guard=guard,
                log=log,
                telemetry=telemetry,
                session_tokens=verifier,
                database=database,
                owner=owner,
                objects=await stack.enter_async_context(Objects(object_settings)),
                authority=LocalSlots(SlotFile(self.slot_file)),
            )
            storage = assemble(around, limits or StorageLimits(days_ahead=1))
            await stack.enter_async_context(storage.writer)
            yield Replica(self, storage, around, database_clock)

    def token(self, session: processing_pb2.Session, items: Sequence[str] = ITEMS) -> str:
        """The session's upload token, as ingest signs it."""
        claims = {
            "iss": "idv-ingest",
            "aud": "idv-upload",
            "sub": session.name,
            "exp": session.close_time.seconds + 3600,
            "items": list(items),
            "notice_version": session.notice_version,
        }
        header = {"alg": "Ed25519", "kid": "test"}
        return jwt.encode(header, claims, self.signing_key, algorithms=["Ed25519"])


@dataclass
class Replica:
    """The service as its callers see it, in process."""

    servers: Servers
    storage: Storage
    around: Surroundings
    database_clock: SetDatabaseClock

    async def session(
        self,
        customer: str = "acme",
        subject: str = "subject-1",
        *,
        request_id: str | None = None,
        retention_days: int = 30,
        purposes: Sequence[int] = PURPOSES,
        items: Sequence[str] = ITEMS,
        receive_time: Timestamp | None = None,
    ) -> processing_pb2.Session:
        request = pb.CreateSessionRequest(
            parent=f"customers/{customer}",
            request_id=request_id or str(uuid4()),
            subject=subject,
            attestation=processing_pb2.Attestation(reference="canary-attestation", items=ITEMS),
            items=items,
            notice_version=1,
            retention_days=retention_days,
            purposes=[processing_pb2.Purpose.ValueType(purpose) for purpose in purposes],
            receive_time=receive_time or self.now(),
            open_seconds=3600,
        )
        return (await self.storage.servicer.CreateSession(request, None)).session

    def header(self, session: processing_pb2.Session, **changes: object) -> pb.RecordHeader:
        fields = {
            "session_token": self.servers.token(session),
            "request_id": str(uuid4()),
            "category": "device.hardware",
            "source": processing_pb2.SOURCE_SDK,
            "receive_time": self.now(),
            "media_type": "application/x-protobuf",
            "notice_version": 1,
            "retention_days": 30,
        }
        return pb.RecordHeader(**{**fields, **changes})  # type: ignore[arg-type]  # fields by name

    async def write(
        self, session: processing_pb2.Session, body: bytes = b"canary-body", **changes: object
    ) -> processing_pb2.Record:
        """Writes one small record; raises what its outcome says."""
        write = pb.RecordWrite(header=self.header(session, **changes), body=body)
        (outcome,) = await self.write_many([write])
        return outcome

    async def write_many(self, writes: Sequence[pb.RecordWrite]) -> list[processing_pb2.Record]:
        answer = await self.storage.servicer.WriteRecords(pb.WriteRecordsRequest(writes=writes), None)
        for outcome in answer.outcomes:
            if outcome.HasField("error"):
                raise IdvError.from_status(outcome.error)
        return [outcome.record for outcome in answer.outcomes]

    async def upload(
        self, session: processing_pb2.Session, body: bytes, **changes: object
    ) -> processing_pb2.Record:
        header = self.header(session, **{"category": "face_image", "media_type": "image/png", **changes})

        async def messages() -> AsyncIterator[pb.WriteObjectRequest]:
            yield pb.WriteObjectRequest(header=header)
            for start in range(0, len(body), 256 * 1024):
                yield pb.WriteObjectRequest(chunk=body[start : start + 256 * 1024])

        return (await self.storage.servicer.WriteObject(messages(), None)).record

    async def read(self, name: str, service: str = "verification", **fields: object) -> bytes:
        run_as(Caller(CallerKind.SERVICE, service, credential="certificate"))
        request = pb.ReadRecordRequest(
            **{"name": name, "purpose": processing_pb2.PURPOSE_VERIFICATION, **fields}  # type: ignore[arg-type]
        )
        answer = self.storage.servicer.ReadRecord(request, None)
        return b"".join([message.chunk async for message in answer if message.HasField("chunk")])

    async def describe(
        self, name: str, service: str = "verification", **fields: object
    ) -> processing_pb2.Record:
        run_as(Caller(CallerKind.SERVICE, service, credential="certificate"))
        request = pb.GetRecordRequest(
            **{"name": name, "purpose": processing_pb2.PURPOSE_VERIFICATION, **fields}  # type: ignore[arg-type]
        )
        return (await self.storage.servicer.GetRecord(request, None)).record

    async def list_records(
        self, service: str = "verification", customer: str = "acme", **fields: object
    ) -> pb.ListRecordsResponse:
        run_as(Caller(CallerKind.SERVICE, service, credential="certificate"))
        purpose = processing_pb2.PURPOSE_VERIFICATION
        request = pb.ListRecordsRequest(
            **{"parent": f"customers/{customer}", "purpose": purpose, **fields}  # type: ignore[arg-type]
        )
        return await self.storage.servicer.ListRecords(request, None)

    async def get_session(self, name: str) -> processing_pb2.Session:
        return (await self.storage.servicer.GetSession(pb.GetSessionRequest(name=name), None)).session

    async def erase(
        self, request_id: str | None = None, customer: str = "acme", **target: object
    ) -> pb.EraseRecordsResponse:
        request = pb.EraseRecordsRequest(
            parent=f"customers/{customer}",
            request_id=request_id or str(uuid4()),
            target=pb.ErasureTarget(**target),  # type: ignore[arg-type]  # one of its fields, by name
        )
        return await self.storage.servicer.EraseRecords(request, None)

    async def preview(self, customer: str = "acme", **target: object) -> tuple[int, int]:
        """How many records and sessions an erasure would concern."""
        request = pb.PreviewErasureRequest(
            parent=f"customers/{customer}",
            target=pb.ErasureTarget(**target),  # type: ignore[arg-type]  # one of its fields, by name
        )
        answer = await self.storage.servicer.PreviewErasure(request, None)
        return answer.record_count, answer.session_count

    async def restrict(
        self,
        subject: str = "subject-1",
        restricted: bool = True,
        *,
        request_id: str | None = None,
        reason: int = 0,
        customer: str = "acme",
    ) -> pb.SetRestrictionResponse:
        request = pb.SetRestrictionRequest(
            parent=f"customers/{customer}",
            request_id=request_id or str(uuid4()),
            subject=subject,
            restricted=restricted,
            reason=processing_pb2.RestrictionReason.ValueType(reason),
        )
        return await self.storage.servicer.SetRestriction(request, None)

    async def opt_out(
        self,
        subject: str = "subject-1",
        opted_out: bool = True,
        *,
        items: Sequence[str] = (),
        request_id: str | None = None,
        customer: str = "acme",
    ) -> pb.SetOptOutResponse:
        request = pb.SetOptOutRequest(
            parent=f"customers/{customer}",
            request_id=request_id or str(uuid4()),
            subject=subject,
            items=items,
            opted_out=opted_out,
        )
        return await self.storage.servicer.SetOptOut(request, None)

    def now(self) -> Timestamp:
        made = Timestamp()
        made.FromDatetime(self.servers.clock.now())
        return made

    def advance(self, **duration: float) -> None:
        self.servers.clock.time += timedelta(**duration)


async def reason(awaitable: object) -> str:
    """The reason with which a call is refused."""
    try:
        await awaitable  # type: ignore[misc]  # any coroutine
    except IdvError as error:
        return error.reason_name
    raise AssertionError("the call was not refused")
