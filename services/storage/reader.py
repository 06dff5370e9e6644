"""Reads with a purpose. The access is logged, durably, before the first byte leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.resources import RecordName
from services.storage import ids, restrictions
from services.storage.access_details import AccessDetails, Reading
from services.storage.derivation import SealingKeys
from services.storage.numbering import Numbering
from services.storage.objects import Objects
from services.storage.sealing import Opener, opened
from services.storage.store import accesses as access_store
from services.storage.store import records as store
from services.storage.store.accesses import AccessRow
from services.storage.store.driver import driver
from services.storage.store.records import RecordRow
from services.storage.store.sessions import ACTIVE as SESSION_ACTIVE
from services.storage.stream import Decryptor

CHUNK = 256 * 1024
RECHECK_SECONDS = 1.0
"""A long read looks this often whether its record still stands."""

_OPEN_TO: dict[int, frozenset[str]] = {
    processing_pb2.PURPOSE_VERIFICATION: frozenset({"verification"}),
    processing_pb2.PURPOSE_TROUBLESHOOTING: frozenset({"support", "verification"}),
    processing_pb2.PURPOSE_RIGHTS_SUPPORT: frozenset({"retention", "support"}),
}
"""The services that may read for each purpose."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A record being read: what it is, and its plain body in chunks. The access is logged already."""

    opening: storage_pb2.RecordOpening
    chunks: AsyncGenerator[bytes, None]


class Reader:
    """Describes and reads records."""

    def __init__(
        self,
        database: Database,
        opener: Opener,
        objects: Objects,
        details: AccessDetails,
        numbering: Numbering,
        clock: Clock,
    ) -> None:
        self._database, self._opener, self._objects = database, opener, objects
        self._details, self._numbering, self._clock = details, numbering, clock

    async def describe(self, name: RecordName, reading: Reading) -> processing_pb2.Record:
        """A record's description, for a purpose; raises what `open` raises."""
        found, _ = await self._admit(name, reading, processing_pb2.ACCESS_KIND_DESCRIBE)
        return (await self._opener.describe(found.row)).record

    async def probe(self, name: RecordName) -> bool:
        """Whether the record's description still opens, for an inspection that is told nothing of it."""
        day, session, record = place(name)
        async with self._database.transaction([name.customer]) as connection:
            found = await store.read(await driver(connection), day, session, record)
        try:
            await self._opener.describe(self._readable(found).row)
        except IdvError:
            return False
        return True

    async def open(self, name: RecordName, reading: Reading) -> Opened:
        """Opens a record for a purpose.

        Raises NOT_FOUND, EXPIRED, ERASED, PURPOSE_REQUIRED, PURPOSE_NOT_ALLOWED, RESTRICTED. The chunks raise
        EXPIRED, ERASED or RESTRICTED when that happens while it is read.
        """
        found, access = await self._admit(name, reading, processing_pb2.ACCESS_KIND_READ)
        keys, associated = await self._opener.keys(found.row)
        body = self._body(found.row, reading.purpose, access, keys, associated)
        return Opened(opened(found.row, keys, associated), body)

    async def _admit(self, name: RecordName, reading: Reading, kind: int) -> tuple[store.Found, AccessRow]:
        """The record, once it may be seen so, and the access, committed."""
        check_purpose(reading)
        day, session, record = place(name)
        await self._opener.warm(record)
        async with self._database.transaction([name.customer]) as connection:
            on_driver = await driver(connection)
            found = self._readable(await store.read(on_driver, day, session, record))
            if reading.purpose not in found.purposes:
                raise _not_allowed("the notice that admitted the record does not list this purpose")
            restrictions.check(found.restriction, reading.purpose, found.row.expire_time)
            access = await self._details.seal(found.row, reading, kind)
            if found.row.object is None or kind != processing_pb2.ACCESS_KIND_READ:
                access = replace(access, complete=True)  # sent whole, in one message, or not at all
            await access_store.add(on_driver, access)
        self._numbering.note(name.customer)
        return found, access

    async def _body(
        self, row: RecordRow, purpose: int, access: AccessRow, keys: SealingKeys, associated: bytes
    ) -> AsyncGenerator[bytes, None]:
        plain = keys.unseal(row.body or b"", associated)
        self._check_term(row)
        if row.object is None:
            for start in range(0, len(plain), CHUNK):
                yield plain[start : start + CHUNK]
            return
        decryptor = Decryptor(plain, associated)
        loop = asyncio.get_running_loop()
        checked = loop.time()
        async with aclosing(self._sealed(row, row.object, purpose)) as pieces:
            async for sealed in pieces:
                if loop.time() - checked >= RECHECK_SECONDS:
                    await self._check_again(row, purpose)
                    checked = loop.time()
                self._check_term(row)
                if piece := decryptor.update(sealed):
                    yield piece
        yield decryptor.finalize()
        async with self._database.transaction([row.customer]) as connection:
            await access_store.complete(await driver(connection), access)

    async def _sealed(self, row: RecordRow, name: str, purpose: int) -> AsyncGenerator[bytes, None]:
        """The blob's ciphertext; one that an erasure has just removed is erased, not missing."""
        try:
            async with aclosing(self._objects.get(row.day, name, CHUNK)) as pieces:
                async for piece in pieces:
                    yield piece
        except IdvError as error:
            if error.reason == Reason.ERROR_REASON_NOT_FOUND:
                await self._check_again(row, purpose)
            raise

    async def _check_again(self, row: RecordRow, purpose: int) -> None:
        async with self._database.transaction([row.customer]) as connection:
            now = await store.standing(await driver(connection), row.day, row.session, row.record)
        if now is None or now.state != store.ACTIVE or now.fenced:
            raise _erased()
        restrictions.check(now.restriction, purpose, row.expire_time)

    def _readable(self, found: store.Found | None) -> store.Found:
        if found is None:
            raise not_found()
        if found.row.state != store.ACTIVE or found.session_state != SESSION_ACTIVE or found.fenced:
            raise _erased()
        self._check_term(found.row)
        return found

    def _check_term(self, row: RecordRow) -> None:
        if row.expire_time <= self._clock.now():
            raise IdvError(Reason.ERROR_REASON_EXPIRED, "the record's term has ended")


def place(name: RecordName) -> tuple[date, UUID, UUID]:
    """Where a named record lies: day, session, record; raises NOT_FOUND for ids that were never given out."""
    session, record = UUID(name.session), UUID(name.record)
    try:
        day = ids.session_day(session)
        if ids.record_epoch(record).day == day:
            return day, session, record
    except ValueError:
        pass
    raise not_found()


def check_purpose(reading: Reading) -> None:
    """Raises PURPOSE_REQUIRED or PURPOSE_NOT_ALLOWED unless the service may read as it says."""
    if not reading.purpose:
        raise _required("a read names its purpose", "purpose")
    if reading.service not in _OPEN_TO.get(reading.purpose, frozenset()):
        raise _not_allowed(f"the purpose is not open to {reading.service}")
    if reading.purpose == processing_pb2.PURPOSE_TROUBLESHOOTING:
        for field in ("person", "ticket"):
            if not getattr(reading, field):
                raise _required(f"a read for troubleshooting names its {field}", field)


def not_found() -> IdvError:
    """The answer for a record that is not there, or not the Customer's."""
    return IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such record")


def _erased() -> IdvError:
    return IdvError(Reason.ERROR_REASON_ERASED, "the record was erased at the Customer's request")


def _required(message: str, field: str) -> IdvError:
    return IdvError(Reason.ERROR_REASON_PURPOSE_REQUIRED, message, field=field, remedy=f"set {field}")


def _not_allowed(message: str) -> IdvError:
    return IdvError(Reason.ERROR_REASON_PURPOSE_NOT_ALLOWED, message, field="purpose")
