"""Looks behind the services: PostgreSQL, the object store, the key slot file, every file of the stack."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError
from idv.types.v1 import processing_pb2

from services.local.addresses import with_login
from services.local.objects import BUCKET_PREFIX, REGION
from services.local.ready import Ready
from services.runtime.resources import parse_record
from services.storage import ids
from services.storage.associated import Binding
from services.storage.authority import KeyAuthority
from services.storage.derivation import derive
from services.storage.epochs import Epoch
from services.storage.keys import key_name
from services.storage.sealing import KIND

_SLOT_BYTES = 128
_VERSION_BYTES = 8


@dataclass(frozen=True)
class Backup:
    """A copy of what PostgreSQL holds of one record, as a backup has it: its row and its sealed root key."""

    record: processing_pb2.Record
    ciphertext: bytes
    sealed_root: bytes
    root_version: int

    @property
    def epoch(self) -> Epoch:
        """The quarter-hour whose root key it is sealed under."""
        return ids.record_epoch(self._ids[2])

    @property
    def key_name(self) -> str:
        """The name of the authority's key that seals the root."""
        return key_name(self.epoch)

    async def open(self, authority: KeyAuthority, deployment: str) -> bytes:
        """The plain body, opened from the copies alone, as whoever stole them and the key would.

        Raises KeyDestroyedError.
        """
        customer, session, record = self._ids
        root = await authority.open(self.key_name, self.root_version, self.sealed_root)
        keys = derive(root, KIND, customer, session, record)
        names = (deployment, customer, str(session), str(record), self.record.category)
        return keys.unseal(self.ciphertext, Binding(*names, self.record.notice_version, self.epoch).encode())

    @property
    def _ids(self) -> tuple[str, UUID, UUID]:
        name = parse_record(self.record.name, field="record")
        return name.customer, UUID(name.session), UUID(name.record)


class Slot(NamedTuple):
    """A place in the key slot file, and its bytes now."""

    offset: int
    content: bytes

    @property
    def zeroed(self) -> bool:
        """Whether every byte is zero."""
        return not any(self.content)


def bucket_of(day: date) -> str:
    """The bucket of a day's large bodies."""
    return f"{BUCKET_PREFIX}{day:%Y%m%d}"


class Probes:
    """Questions to the stores themselves, past every service."""

    def __init__(self, ready: Ready, slot_file: Path) -> None:
        self._ready = ready
        self._slot_file = slot_file

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What the database's superuser sees, whom row-level security does not bind."""
        connection = await asyncpg.connect(self._ready.postgres.dsn)
        try:
            found: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return found
        finally:
            await connection.close()

    async def rows_seen_by_storage(self, password: str, tenants: Sequence[str]) -> int:
        """How many records the storage service's own role sees in a transaction for these Customers."""
        connection = await asyncpg.connect(with_login(self._ready.postgres.dsn, "idv_storage", password))
        try:
            async with connection.transaction():
                await connection.execute("SELECT set_config('idv.tenants', $1, true)", ",".join(tenants))
                return int(await connection.fetchval("SELECT count(*) FROM storage.records"))
        finally:
            await connection.close()

    async def object_names(self, session: str) -> list[tuple[str, str]]:
        """Bucket and name of every object of a session's records."""
        query = "SELECT day, object FROM storage.records WHERE session = $1 AND object IS NOT NULL"
        rows = await self.rows(query, UUID(session))
        return [(bucket_of(row["day"]), row["object"]) for row in rows]

    async def object_status(self, bucket: str, name: str | None = None) -> int:
        """The HTTP status of HEAD on an object, or on a bucket."""
        async with self._objects() as client:
            try:
                call = (
                    client.head_object(Bucket=bucket, Key=name) if name else client.head_bucket(Bucket=bucket)
                )
                answer = await call
            except ClientError as error:
                return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
            return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    async def back_up(self, record: processing_pb2.Record) -> Backup:
        """Copies a small record's row and its sealed root key out of the database."""
        name = parse_record(record.name, field="record")
        epoch = ids.record_epoch(UUID(name.record))
        row = (await self.rows("SELECT body FROM storage.records WHERE record = $1", UUID(name.record)))[0]
        query = "SELECT sealed, version FROM storage.root_keys WHERE day = $1 AND slot = $2"
        root = (await self.rows(query, epoch.day, epoch.slot))[0]
        return Backup(record, row["body"], root["sealed"], root["version"])

    def slot_of(self, name: str) -> Slot | None:
        """Where the key slot file holds the key of this name; None when it does nowhere."""
        content = self._slot_file.read_bytes()
        found = content.find(hashlib.sha256(name.encode()).digest())
        return None if found < 0 else self.slot_at(found - _VERSION_BYTES)

    def slot_at(self, offset: int) -> Slot:
        """The slot at an offset that `slot_of` found."""
        with self._slot_file.open("rb") as file:
            file.seek(offset)
            return Slot(offset, file.read(_SLOT_BYTES))

    def files_with(self, texts: Iterable[str]) -> tuple[list[Path], int, int]:
        """The stack's files that hold any of the texts; how many files and bytes were searched."""
        wanted = [text.encode() for text in texts]
        hits, files, size = [], 0, 0
        for path in sorted(self._ready.directory.rglob("*")):
            if not path.is_file() or path.is_symlink() or path.stat().st_size == 0:
                continue
            files, size = files + 1, size + path.stat().st_size
            if _holds(path, wanted) or any(text in path.name.encode() for text in wanted):
                hits.append(path)
        return hits, files, size

    @asynccontextmanager
    async def _objects(self) -> AsyncIterator[Any]:
        objects = self._ready.objects
        async with get_session().create_client(
            "s3",
            endpoint_url=objects.endpoint,
            region_name=REGION,
            aws_access_key_id=objects.access_key,
            aws_secret_access_key=objects.secret_key,
            config=AioConfig(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        ) as client:
            yield client


def _holds(path: Path, texts: Sequence[bytes]) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(text) >= 0 for text in texts)
    except (FileNotFoundError, ValueError):  # removed or emptied while we look: it holds nothing
        return False
