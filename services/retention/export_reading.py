"""One record of an export, read from storage while what comes before it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from idv.storage.v1 import storage_pb2

from services.retention import export_index
from services.retention.archive import Made
from services.retention.export_items import ITEMS, described, items
from services.retention.storage_gateway import StorageGateway

_FRESH_SECONDS: Final = 1.0
"""What was read so long ago is asked for again before it is given out: it may be gone."""


class Reading:
    """One reading of a record, begun when first needed: the access log tells of one."""

    def __init__(self, storage: StorageGateway, record: dict[str, Any]) -> None:
        self._storage, self.record = storage, record
        self._call: Any = None
        self._parts: AsyncIterator[storage_pb2.ReadRecordResponse] | None = None
        self._opening: asyncio.Task[storage_pb2.RecordOpening] | None = None
        self._since = 0.0
        self._reading = asyncio.Lock()
        self._read: dict[str, Any] | None = None

    @property
    def begun(self) -> bool:
        """Whether storage was asked."""
        return self._opening is not None

    def begin(self) -> asyncio.Task[storage_pb2.RecordOpening]:
        """Asks storage, once."""
        if self._opening is None:
            self._since = asyncio.get_running_loop().time()
            self._opening = asyncio.create_task(self._open())
        return self._opening

    async def check(self) -> None:
        """Raises ERASED, EXPIRED or NOT_FOUND where the record is gone; asked if it was read a while ago."""
        if asyncio.get_running_loop().time() - self._since >= _FRESH_SECONDS:
            await self._storage.record(self.record["name"])

    def made(self) -> list[Made]:
        """The files that are made of what is known of the record, and of its items or its description."""
        files = [Made(export_index.json_path(self.record), self._json, self.check)]
        if self.record["media_type"] == ITEMS:
            files.append(Made(export_index.shown_path(self.record), self._page, self.check))
        return files

    async def _json(self) -> bytes:
        opening = await self.begin()
        value = {"record": as_dict(opening.record)}
        if self.record["media_type"] == ITEMS:
            value["items"] = await self._items()
        else:
            value["description"] = as_dict(described(self.record["category"], opening.description))
        return as_json(value)

    async def _page(self) -> bytes:
        opening = await self.begin()
        return export_index.record_page(as_dict(opening.record), await self._items())

    async def _items(self) -> dict[str, Any]:
        """The typed items; read once, for whichever file is made first."""
        async with self._reading:
            if self._read is None:
                whole = b"".join([piece async for piece in self._rest()])
                self._read = as_dict(items(self.record["category"], whole))
        return self._read

    async def body(self) -> AsyncIterator[bytes]:
        """The plain body, in chunks."""
        await self.begin()
        await self.check()
        async for piece in self._rest():
            yield piece

    def close(self) -> None:
        """Ends the reading where it stands."""
        if self._opening is not None and not self._opening.cancel() and not self._opening.cancelled():
            self._opening.exception()  # looked at: nobody waits for it any more
        if self._call is not None:
            self._call.cancel()

    async def _rest(self) -> AsyncIterator[bytes]:
        if self._parts is not None:
            async for part in self._parts:
                yield part.chunk

    async def _open(self) -> storage_pb2.RecordOpening:
        self._call = self._storage.read(self.record["name"])
        self._parts = aiter(self._call)
        return (await anext(self._parts)).opening


def as_dict(message: Message) -> dict[str, Any]:
    """A message as the archive tells of it."""
    return MessageToDict(message, preserving_proto_field_name=True)


def as_json(value: dict[str, Any]) -> bytes:
    """A file of the archive: for people and programs, the same for the same value."""
    return (json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
