"""What an export is to hold: fixed at its first call, and compared with what stands at a later one.

So a repeat goes on with the same bytes. What was received since is not in it; where anything that is in it
was deleted, corrected or expired since, the repeat fails instead of continuing otherwise.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid5

from google.protobuf.json_format import MessageToDict
from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.retention import export_store as store
from services.retention.export_store import Export, Kind
from services.retention.sealing import TargetSeal
from services.retention.storage_gateway import StorageGateway
from services.retention.targets import Target
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.resources import customer_name

GONE: Final = "something of it was deleted, corrected or reached its term since it began"
_PAGE: Final = 500


class Plans:
    """Makes, reads and forgets the plans of exports."""

    def __init__(self, database: Database, storage: StorageGateway, seal: TargetSeal, clock: Clock) -> None:
        self._database, self._storage, self._seal, self._clock = database, storage, seal, clock

    async def take(self, customer: str, request_id: UUID, target: Target, *, resumed: bool) -> Export:
        """The export with its plan, made now or at an earlier call, which ends: the newest call goes on.

        Raises REQUEST_ID_REUSED; WRONG_STATE where a resumed one is not known (any more), or a record of it
        is gone.
        """
        digest = self._seal.digest(customer, request_id, {"export": dict(target)})
        new = Export(customer, request_id, digest, self._clock.now(), 1, planned=False)
        async with self._database.transaction([customer]) as connection:
            first = await store.find(connection, customer, request_id, lock=True)
            if first is None and resumed:
                raise cannot_resume("the export is not known, or was begun more than a day ago")
            if first is None:
                first = new if await store.add(connection, new, new.start_time + store.KEPT) else None
            if first is None:  # another call was faster
                first = await store.find(connection, customer, request_id, lock=True) or new
            if not hmac.compare_digest(first.request_digest, digest):
                raise IdvError(
                    Reason.ERROR_REASON_REQUEST_ID_REUSED,
                    "the request id was used for another export",
                    field="request_id",
                    remedy="use a new request id",
                )
            export = replace(first, attempt=first.attempt + 1)
            await store.change(connection, export, attempt=export.attempt)
            if not export.planned:
                await store.drop_rows(connection, export)
        if export.planned:
            await self._compare(export, target)
            return export
        return await self._make(export, target)

    async def put(self, export: Export, kind: Kind, first: int, values: list[dict[str, Any]]) -> None:
        """Keeps rows of a kind. Raises WRONG_STATE where a later call has taken the export over."""
        sealed = [
            self._seal.seal(export.tenant, _row_id(export, kind, first + place), value)
            for place, value in enumerate(values)
        ]
        async with self._database.transaction([export.tenant]) as connection:
            await self._own(await store.find(connection, export.tenant, export.request_id, lock=True), export)
            await store.add_rows(connection, export, kind, first, sealed)

    async def rows(self, export: Export, kind: Kind, first: int = 0) -> AsyncGenerator[dict[str, Any], None]:
        """The rows of a kind, from a number on, a page at a time."""
        number = first
        while True:
            async with self._database.transaction([export.tenant]) as connection:
                page = await store.rows(connection, export, kind, number)
            for sealed in page:
                yield self._seal.open(export.tenant, _row_id(export, kind, number), sealed)
                number += 1
            if len(page) < store.PAGE:
                return

    async def forget_due(self) -> None:
        """Forgets the exports that can be resumed no longer."""
        while True:
            async with self._database.transaction() as connection:
                due = await store.take_due(connection, self._clock.now())
            if due is None:
                return
            async with self._database.transaction([due.tenant]) as connection:
                await store.forget(connection, due)

    async def _make(self, export: Export, target: Target) -> Export:
        versions: set[int] = set()
        sessions = total = records = 0
        async for page in self._sessions(export.tenant, target):
            await self.put(export, Kind.SESSION, sessions, [_session(one) for one in page])
            sessions += len(page)
            versions |= {version for one in page for version in _versions(one)}
        async for listed in self._records(export.tenant, target):
            await self.put(export, Kind.RECORD, records, [_record(one) for one in listed])
            records += len(listed)
            total += sum(one.size_bytes for one in listed)
            versions |= {one.notice_version for one in listed}
        summary = {
            "versions": " ".join(map(str, sorted(versions))),
            "bytes": total,
            "records": records,
            "sessions": sessions,
        }
        await self.put(export, Kind.SUMMARY, 0, [summary])
        async with self._database.transaction([export.tenant]) as connection:
            await self._own(await store.find(connection, export.tenant, export.request_id, lock=True), export)
            await store.change(connection, export, planned=True)
        return replace(export, planned=True)

    async def _compare(self, export: Export, target: Target) -> None:
        """Raises WRONG_STATE unless every session and record of the plan still stands."""
        planned = self.rows(export, Kind.SESSION)
        await _each_is_in(planned, self._names(self._sessions(export.tenant, target)))
        planned = self.rows(export, Kind.RECORD)
        await _each_is_in(planned, self._names(self._records(export.tenant, target)))

    async def _names(self, pages: AsyncIterator[Any]) -> AsyncIterator[str]:
        async for page in pages:
            for one in page:
                yield one.session.name if isinstance(one, storage_pb2.SessionOpening) else one.name

    async def sessions(self, export: Export, target: Target) -> AsyncIterator[storage_pb2.SessionOpening]:
        """The sessions of the plan as storage opens them now: nothing of a person rests in the plan."""
        standing = self._sessions(export.tenant, target)
        async with aclosing(self.rows(export, Kind.SESSION)) as rows:
            planned = await anext(rows, None)
            async for page in standing:
                for opening in page:
                    if planned is not None and opening.session.name == planned["name"]:
                        yield opening
                        planned = await anext(rows, None)
        if planned is not None:
            raise cannot_resume(GONE)

    async def _sessions(
        self, customer: str, target: Target
    ) -> AsyncIterator[list[storage_pb2.SessionOpening]]:
        request = storage_pb2.ListSessionsRequest(
            parent=customer_name(customer),
            page_size=_PAGE,
            purpose=processing_pb2.PURPOSE_RIGHTS_SUPPORT,
        )
        _choose(request, target)
        while True:
            answer = await self._storage.sessions(request)
            yield list(answer.sessions)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return

    async def _records(self, customer: str, target: Target) -> AsyncIterator[list[processing_pb2.Record]]:
        request = storage_pb2.ListRecordsRequest(
            parent=customer_name(customer),
            page_size=_PAGE,
            purpose=processing_pb2.PURPOSE_RIGHTS_SUPPORT,
        )
        _choose(request, target)
        while True:
            answer = await self._storage.records(request)
            yield list(answer.records)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return

    async def _own(self, now: Export | None, export: Export) -> None:
        if now is None or now.attempt != export.attempt:
            raise cannot_resume("a later call of the same request has taken the export over")


def cannot_resume(why: str) -> IdvError:
    """The answer where the same bytes cannot follow."""
    return IdvError(
        Reason.ERROR_REASON_WRONG_STATE,
        f"the export cannot go on: {why}",
        field="offset",
        remedy="discard what was received, and export again under a new request id",
    )


def _choose(
    request: storage_pb2.ListSessionsRequest | storage_pb2.ListRecordsRequest, target: Target
) -> None:
    if "subject" in target:
        request.subject = target["subject"]
    else:
        request.everything = True


async def _each_is_in(planned: AsyncIterator[dict[str, Any]], standing: AsyncIterator[str]) -> None:
    """Both are in the same order; there may be more that stands than was planned."""
    async for row in planned:
        async for name in standing:
            if name == row["name"]:
                break
        else:
            raise cannot_resume(GONE)


def _session(opening: storage_pb2.SessionOpening) -> dict[str, Any]:
    return {"name": opening.session.name, "created": opening.session.create_time.ToJsonString()}


def _versions(opening: storage_pb2.SessionOpening) -> set[int]:
    return {opening.session.notice_version, opening.attestation.notice_version} - {0}


def _record(record: processing_pb2.Record) -> dict[str, Any]:
    return MessageToDict(record, preserving_proto_field_name=True) | {"size": record.size_bytes}


def _row_id(export: Export, kind: Kind, number: int) -> UUID:
    """What a row is sealed for: it opens in its own place only."""
    return uuid5(export.request_id, f"{kind.name}/{number}")
