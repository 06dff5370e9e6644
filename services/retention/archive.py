"""Writes an archive from any byte on: what was given out before is skipped by its kept digests."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple

from services.retention.export_plan import Plans, cannot_resume
from services.retention.export_store import Export, Kind
from services.retention.zip_stream import Entry, descriptor, directory_entry, end, local_header

_PIECE: Final = 256 * 1024


class Made(NamedTuple):
    """An entry that is made in memory; `check` is asked right before its first byte is given out."""

    path: str
    make: Callable[[], Awaitable[bytes]]
    check: Callable[[], Awaitable[None]] | None = None


class Archive:
    """One writing of an export's archive, from `offset` on. Entries are added in the same order each time.

    The digest of an entry is kept once it is known; of an entry made in memory, before its first byte is
    given out. An entry that comes out otherwise at a later call ends the export: other bytes never follow.
    """

    def __init__(self, plans: Plans, export: Export, offset: int) -> None:
        self._plans, self._export, self._offset = plans, export, offset
        self._known = plans.rows(export, Kind.ENTRY)
        self._more = True
        self._number = 0
        self._fresh: dict[int, Entry] = {}
        self._position = 0

    @property
    def position(self) -> int:
        """How many bytes of the archive are made or skipped."""
        return self._position

    async def add(self, *made: Made) -> AsyncGenerator[bytes, None]:
        """Entries that are made in memory, at once: their digests are kept together."""
        todo: list[tuple[int, Made, Entry | None]] = []
        for one in made:
            known = await self._next()
            if todo or not self._skip(known):
                todo.append((self._number - 1, one, known))
        bodies = await asyncio.gather(*(one.make() for _, one, _ in todo))
        entries = [
            Entry(one.path, len(body), zlib.crc32(body), hashlib.sha256(body).hexdigest())
            for (_, one, _), body in zip(todo, bodies, strict=True)
        ]
        for (number, _, known), entry in zip(todo, entries, strict=True):
            self._settle(number, entry, known)
        await self._keep()
        for (_, one, _), entry, body in zip(todo, entries, bodies, strict=True):
            if one.check is not None:
                await one.check()
            for piece in self._cut(local_header(one.path)):
                yield piece
            for start in range(0, len(body), _PIECE):
                for piece in self._cut(body[start : start + _PIECE]):
                    yield piece
            for piece in self._cut(descriptor(entry)):
                yield piece

    async def stream(
        self, path: str, pieces: Callable[[], AsyncIterator[bytes]]
    ) -> AsyncGenerator[bytes, None]:
        """An entry that never lies in memory whole."""
        known = await self._next()
        if self._skip(known):
            return
        for piece in self._cut(local_header(path)):
            yield piece
        size, crc, digest = 0, 0, hashlib.sha256()
        async for body in pieces():
            size, crc = size + len(body), zlib.crc32(body, crc)
            digest.update(body)
            for piece in self._cut(body):
                yield piece
        entry = Entry(path, size, crc, digest.hexdigest())
        self._settle(self._number - 1, entry, known)
        for piece in self._cut(descriptor(entry)):
            yield piece

    async def close(self) -> AsyncGenerator[bytes, None]:
        """The central directory, read back from what was kept."""
        begin, at, count = self._position, 0, 0
        async for entry in self.entries():
            for piece in self._cut(directory_entry(entry, at)):
                yield piece
            at += entry.length
            count += 1
        for piece in self._cut(end(count, self._position - begin, begin)):
            yield piece

    async def entries(self) -> AsyncGenerator[Entry, None]:
        """What is written so far, as it is kept."""
        await self._keep()
        async for row in self._plans.rows(self._export, Kind.ENTRY):
            yield Entry(**row)

    async def _next(self) -> Entry | None:
        row = await anext(self._known, None) if self._more else None
        self._more = row is not None
        self._number += 1
        return Entry(**row) if row else None

    def _skip(self, known: Entry | None) -> bool:
        if known is None or self._position + known.length > self._offset:
            return False
        self._position += known.length
        return True

    def _settle(self, number: int, entry: Entry, known: Entry | None) -> None:
        if known is None:
            self._fresh[number] = entry
        elif known != entry:
            raise cannot_resume(f"{entry.path} would not be the same")

    async def _keep(self) -> None:
        """Keeps the digests that are new: before an entry made in memory begins, and before any is listed."""
        if self._fresh:
            entries = [entry._asdict() for entry in self._fresh.values()]
            await self._plans.put(self._export, Kind.ENTRY, min(self._fresh), entries)
            self._fresh.clear()

    def _cut(self, data: bytes) -> list[bytes]:
        """What of the data lies at or after the offset; moves on."""
        start = max(0, self._offset - self._position)
        self._position += len(data)
        return [data[start:]] if start < len(data) else []
