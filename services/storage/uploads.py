"""Large records: ciphertext into S3 first, the row second. A blob without a row is unreadable and swept."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2

from services.storage.derivation import KEY_SIZE
from services.storage.objects import Objects
from services.storage.sealing import Sealer
from services.storage.store.records import RecordRow
from services.storage.stream import Encryptor
from services.storage.writer import Writer

_WITHOUT_ROW = frozenset(
    {
        Reason.ERROR_REASON_NOT_FOUND,
        Reason.ERROR_REASON_ERASED,
        Reason.ERROR_REASON_OPTED_OUT,
        Reason.ERROR_REASON_SESSION_CLOSED,
        Reason.ERROR_REASON_REQUEST_ID_REUSED,
        Reason.ERROR_REASON_OVERLOADED,
    }
)
"""Refusals after which it is certain that no row names the blob."""


class Uploads:
    """Receives large bodies, each sealed as it arrives under a random key of its own.

    That key rests only in the row, sealed under the record's key: it dies with the record.
    """

    def __init__(
        self, sealer: Sealer, objects: Objects, writer: Writer, *, object_bytes: int, in_flight: int
    ) -> None:
        self._sealer, self._objects, self._writer = sealer, objects, writer
        self._object_bytes, self._turns = object_bytes, asyncio.Semaphore(in_flight)

    async def write(self, header: storage_pb2.RecordHeader, chunks: AsyncIterator[bytes]) -> RecordRow:
        """Returns once blob and row are durable. Raises as `Sealer.admit` and `Writer.write`, EMPTY_BODY,
        TOO_LARGE.
        """
        async with self._turns:  # the stream's flow control holds the others back
            return await self._write(header, chunks)

    async def _write(self, header: storage_pb2.RecordHeader, chunks: AsyncIterator[bytes]) -> RecordRow:
        admitted = await self._sealer.admit(header)
        key, digest, size = os.urandom(KEY_SIZE), hashlib.sha256(), 0
        encryptor, sealed = Encryptor(key, admitted.associated), list[bytes]()
        async for chunk in chunks:
            size += len(chunk)
            if size > self._object_bytes:
                raise IdvError(
                    Reason.ERROR_REASON_TOO_LARGE,
                    f"the body is larger than {self._object_bytes} bytes",
                    field="chunk",
                )
            digest.update(chunk)
            sealed += encryptor.segments(chunk)
        if size == 0:
            raise IdvError(Reason.ERROR_REASON_EMPTY_BODY, "the body is empty", field="chunk")
        sealed.append(encryptor.finalize())
        name = await self._objects.put(admitted.grant.day, b"".join(sealed))
        try:
            wrapped = admitted.keys.seal(key, admitted.associated)
            row = await self._sealer.row(admitted, digest=digest.digest(), size=size, body=wrapped, name=name)
            written = await self._writer.write(row)
        except IdvError as error:
            if error.reason in _WITHOUT_ROW:  # of any other the sweep finds out
                await self._objects.delete(admitted.grant.day, [name])
            raise
        if written.object != name:  # a repeat: the first upload's blob stands
            await self._objects.delete(admitted.grant.day, [name])
        return written
