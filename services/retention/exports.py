"""Export of everything held on a subject, or for a Customer: a ZIP archive, made while it is sent.

Order: the notice versions, each session with attestation and accesses, each record, the index for people, the
manifest. Memory holds one page of the plan and one chunk of a body, and the accesses of one session.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC
from typing import Any, Final, NamedTuple
from uuid import UUID

import grpc
from idv.errors import IdvError, Reason
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.storage.v1 import storage_pb2

from services.retention import export_index
from services.retention.archive import Archive, Made
from services.retention.export_items import ITEMS
from services.retention.export_plan import Plans, cannot_resume
from services.retention.export_reading import Reading, as_dict, as_json
from services.retention.export_store import Export, Kind
from services.retention.storage_gateway import StorageGateway
from services.retention.targets import Target
from services.runtime.resources import customer_name

FORMAT: Final = "idv export 1"
_GONE: Final = frozenset(
    {Reason.ERROR_REASON_ERASED, Reason.ERROR_REASON_EXPIRED, Reason.ERROR_REASON_NOT_FOUND}
)
_MESSAGE: Final = 256 * 1024
_WHOLE: Final = 64 * 1024
"""A piece of at least so many bytes is a message of its own, and not copied."""
_PAGE: Final = 1000
_GROUP: Final = 8
"""Records that are read at once. It decides the order of an archive's entries."""


class Part(NamedTuple):
    """Bytes of the archive, where they stand in it, and how large its records are together."""

    chunk: bytes
    offset: int
    record_bytes: int


class Exports:
    """Streams archives."""

    def __init__(self, plans: Plans, storage: StorageGateway, notice: grpc.aio.Channel) -> None:
        self._plans, self._storage = plans, storage
        self._notice = NoticeServiceStub(notice)

    async def stream(
        self, customer: str, request_id: UUID, target: Target, offset: int
    ) -> AsyncGenerator[Part, None]:
        """The archive from a byte on; a repeat under the same request id gives the same bytes.

        Raises REQUEST_ID_REUSED; WRONG_STATE where an export cannot go on, and INVALID_ARGUMENT for an offset
        beyond its end; ERASED or EXPIRED where that happens to a record meanwhile.
        """
        export = await self._plans.take(customer, request_id, target, resumed=offset > 0)
        summary = await anext(self._plans.rows(export, Kind.SUMMARY))
        archive = Archive(self._plans, export, offset)
        size, at, held = summary["bytes"], offset, bytearray()
        async for piece in self._archive(archive, export, target, summary):
            if not held and len(piece) >= _WHOLE:
                yield Part(piece, at, size)
                at += len(piece)
                continue
            held += piece
            if len(held) >= _MESSAGE:
                yield Part(bytes(held), at, size)
                at += len(held)
                held.clear()
        if held:
            yield Part(bytes(held), at, size)
        if offset > archive.position:
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "the offset lies beyond the end of the archive",
                field="offset",
                remedy="resume from the size of what was received",
            )

    async def _archive(
        self, archive: Archive, export: Export, target: Target, summary: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        versions = [int(version) for version in summary["versions"].split()]
        for version in versions:
            async for piece in self._notices(archive, version):
                yield piece
        async for opening in self._plans.sessions(export, target):
            async for piece in archive.add(
                Made(export_index.session_path(opening.session.name), self._session(opening, export))
            ):
                yield piece
        async for piece in self._records(archive, export):
            yield piece
        facts = export_index.Facts(
            customer_name(export.tenant), target.get("subject"), export.start_time, summary, versions
        )

        def rows() -> AsyncIterator[dict[str, Any]]:
            return self._with_paths(export)

        async for piece in archive.stream("index.html", lambda: export_index.page(facts, rows())):
            yield piece
        async for piece in archive.stream("index.txt", lambda: export_index.text(facts, rows())):
            yield piece
        async for piece in archive.stream("manifest.json", lambda: _manifest(archive, export)):
            yield piece
        async for piece in archive.close():
            yield piece

    async def _notices(self, archive: Archive, version: int) -> AsyncIterator[bytes]:
        async def made(*, text: bool) -> bytes:
            request = notice_pb2.GetNoticeRequest(name=f"notices/{version}")
            notice = (await self._notice.GetNotice(request)).notice
            if text:
                return "\n\n".join(f"# {one.title}\n\n{one.markdown}" for one in notice.texts).encode()
            return as_json(
                {"version": version, "sha256": notice.digest.hex(), "terms": as_dict(notice.terms)}
            )

        async for piece in archive.add(
            Made(f"notices/{version}/terms.json", lambda: made(text=False)),
            Made(f"notices/{version}/text.md", lambda: made(text=True)),
        ):
            yield piece

    def _session(self, opening: storage_pb2.SessionOpening, export: Export) -> Any:
        async def made() -> bytes:
            accesses = [access async for access in self._accesses(export, opening.session.name)]
            return as_json(
                {
                    "session": as_dict(opening.session),
                    "subject": opening.subject,
                    "attestation": as_dict(opening.attestation),
                    "accesses": accesses,
                }
            )

        return made

    async def _accesses(self, export: Export, session: str) -> AsyncIterator[dict[str, Any]]:
        """Those before the export began: its own are not in it, and a repeat finds the same."""
        request = storage_pb2.ListAccessesRequest(
            parent=customer_name(export.tenant), resource=session, page_size=_PAGE
        )
        while True:
            page = await self._storage.accesses(request)
            for access in page.accesses:
                if access.access_time.ToDatetime(UTC) < export.start_time:
                    yield as_dict(access)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def _records(self, archive: Archive, export: Export) -> AsyncIterator[bytes]:
        """A group at a time: what each record says, then the originals; both from one reading of each.

        While one group is sent the next is opened: storage and whoever receives need not wait for each other.
        """
        ahead: list[Reading] = []
        async with aclosing(self._groups(export)) as groups:
            group = await anext(groups, None)
            while group:
                following = await anext(groups, None)
                readings = ahead or [Reading(self._storage, record) for record in group]
                ahead = []
                try:
                    async for piece in archive.add(*(made for one in readings for made in one.made())):
                        yield piece
                    if any(one.begun for one in readings):
                        ahead = [Reading(self._storage, record) for record in following or ()]
                        for one in ahead:
                            one.begin()
                    for one in readings:
                        if one.record["media_type"] != ITEMS:
                            path = export_index.shown_path(one.record)
                            async for piece in archive.stream(path, one.body):
                                yield piece
                except BaseException as error:
                    for one in ahead:
                        one.close()
                    raise (_gone(error) if isinstance(error, IdvError) else error) from error.__cause__
                finally:
                    for one in readings:
                        one.close()
                group = following

    async def _groups(self, export: Export) -> AsyncGenerator[list[dict[str, Any]], None]:
        group: list[dict[str, Any]] = []
        async for record in self._plans.rows(export, Kind.RECORD):
            group.append(record)
            if len(group) == _GROUP:
                yield group
                group = []
        if group:
            yield group

    async def _with_paths(self, export: Export) -> AsyncIterator[dict[str, Any]]:
        async for session in self._plans.rows(export, Kind.SESSION):
            yield session | {"paths": [export_index.session_path(session["name"])]}
        async for record in self._plans.rows(export, Kind.RECORD):
            yield record | {"paths": [export_index.shown_path(record), export_index.json_path(record)]}


async def _manifest(archive: Archive, export: Export) -> AsyncIterator[bytes]:
    head = {"format": FORMAT, "customer": customer_name(export.tenant), "request_id": str(export.request_id)}
    head["as_of_time"] = export.start_time.astimezone(UTC).isoformat()
    yield json.dumps(head)[:-1].encode() + b', "entries": ['
    separator = b"\n"
    async for entry in archive.entries():
        if entry.path == "manifest.json":  # known from an earlier call; it does not list itself
            continue
        listed = {"path": entry.path, "size": entry.size, "sha256": entry.sha256}
        yield separator + json.dumps(listed).encode()
        separator = b",\n"
    yield b"\n]}\n"


def _gone(error: IdvError) -> IdvError:
    if error.reason not in _GONE:
        return error
    stopped = cannot_resume("a record of it was deleted, corrected or reached its term meanwhile")
    return IdvError(error.reason, stopped.message, field="offset", remedy=stopped.remedy)
