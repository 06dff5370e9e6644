"""The retention service as its callers meet it: over TLS, with tokens, wired as in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from idv import channel
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2 as pb
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub

from services.local.authority import Certificate, DevelopmentAuthority
from services.local.databases import ServiceDatabase
from services.local.ports import free_port
from services.retention import sealing, signing
from services.retention.main import main
from services.retention.settings import RetentionSettings
from tests.retention_parts import ORIGIN, HeldStorage, serving
from tests.runtime_process import ISSUER, Signer

ACME = "customers/acme"
SESSION = f"{ACME}/sessions/0197f0a0-0000-7000-8000-000000000001"
RECORD = f"{SESSION}/records/0197f0a0-0000-8000-8000-000000000002"
FOREIGN = SESSION.replace("acme", "globex")
SUBJECT = "passport-holder-4711"


@dataclass
class Service:
    """The running service, a storage to hold, and channels of its callers."""

    storage: HeldStorage
    customer: channel.AioChannel
    anyone: channel.AioChannel

    @property
    def deletions(self) -> Any:
        """The deletion service as the Customer."""
        return DeletionServiceStub(self.customer)

    @property
    def log(self) -> Any:
        """The log as anyone."""
        return TransparencyLogServiceStub(self.anyone)

    async def delete(self, request_id: str | None = None, **target: Any) -> pb.Deletion:
        """Deletes as the Customer."""
        answer = await self.deletions.CreateDeletion(deletion(request_id, **target))
        made: pb.Deletion = answer.deletion
        return made


def deletion(request_id: str | None = None, **target: Any) -> pb.CreateDeletionRequest:
    """A request of the Customer."""
    return pb.CreateDeletionRequest(
        parent=ACME, request_id=request_id or str(uuid4()), target=pb.DeletionTarget(**target)
    )


def mutual(files: Certificate) -> grpc.ServerCredentials:
    """What a server of mutual TLS shows and asks for."""
    pair = (files.private_key.read_bytes(), files.certificate.read_bytes())
    return grpc.ssl_server_credentials([pair], files.authority.read_bytes(), require_client_auth=True)


def settings(folder: Path, database: ServiceDatabase, storage: str, port: int) -> RetentionSettings:
    """Settings as in production, but for keys of its own and jobs that run at once."""
    files = DevelopmentAuthority(folder).service("retention")
    signing.generate(folder / "log.pem")
    sealing.generate(folder / "request.key")
    values: dict[str, Any] = {
        "environment": "local",
        "deployment": "test",
        "trust_domain": "idv.local",
        "listen_tls": f"127.0.0.1:{port}",
        "tls": vars(files),
        "customer_tokens": {"jwks": str(folder / "jwks.json"), "issuer": ISSUER},
        "database": {"dsn": database.dsn},
        "storage_target": storage,
        "notice_target": f"127.0.0.1:{free_port()}",
        "log": {"origin": ORIGIN, "signing_key": folder / "log.pem"},
        "request_key": folder / "request.key",
        "jobs": {"deletions": 0.2, "destructions": 0.2},
        "drain_seconds": 0,
        "grace_seconds": 2,
    }
    return RetentionSettings(**values)


@asynccontextmanager
async def running(made: RetentionSettings) -> AsyncIterator[None]:
    """The process with these settings, in this one."""
    task = asyncio.create_task(main(made))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def refusal(call: Any) -> IdvError:
    """The refusal of a call."""
    with pytest.raises(IdvError) as caught:
        await call
    return caught.value


@asynccontextmanager
async def started(database: ServiceDatabase, folder: Path) -> AsyncIterator[Service]:
    """The process, and channels of its callers to it."""
    signer, authority, port = Signer(folder / "jwks.json"), DevelopmentAuthority(folder), free_port()
    storage = HeldStorage()
    async with serving(storage, mutual(authority.service("storage"))) as address:
        made = settings(folder, database, address, port)
        credentials = channel.Credentials.read(authority.certificate)
        target = f"localhost:{port}"
        async with (
            running(made),
            channel.aio(target, credentials, token=signer.token(scope="retention")) as customer,
            channel.aio(target, credentials) as anyone,
        ):
            await asyncio.wait_for(anyone.channel_ready(), 30)
            yield Service(storage, customer, anyone)
