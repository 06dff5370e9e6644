"""What a Customer may see of its own data without opening it: its records, and who saw them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Final

from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.retention.storage_gateway import StorageGateway
from services.retention.streams import Streams
from services.retention.targets import check_owner
from services.runtime import calls
from services.runtime.resources import parse_session

_WATCH_SECONDS: Final = 0.5
_IDLE_SECONDS: Final = 2.0
"""Between two questions of a stream, at first and at most: the pause grows while nothing happens."""
_BATCH: Final = 100
"""Accesses in one message of a stream at most: what a slow reader keeps in memory."""


class CustomerView:
    """Passes a Customer's questions on to storage, once each name in them is known to be its own."""

    def __init__(self, storage: StorageGateway, streams: int) -> None:
        self._storage, self._streams = storage, Streams(streams)

    async def records(self, request: pb.ListRecordsRequest) -> pb.ListRecordsResponse:
        """A page of the records of one session or subject. Raises WRONG_TENANT and what storage refuses."""
        asked = storage_pb2.ListRecordsRequest(
            parent=request.parent,
            page_size=request.page_size,
            page_token=request.page_token,
            purpose=processing_pb2.PURPOSE_RIGHTS_SUPPORT,
        )
        if request.WhichOneof("filter") == "session":
            check_owner(request.parent, request.session, "session")
            parse_session(request.session, field="session")
            asked.session = request.session
        else:
            asked.subject = request.subject
        page = await self._storage.records(asked)
        return pb.ListRecordsResponse(records=page.records, next_page_token=page.next_page_token)

    async def accesses(self, request: pb.ListAccessesRequest) -> pb.ListAccessesResponse:
        """A page of the accesses to the Customer's records. Raises WRONG_TENANT and what storage refuses."""
        if request.resource:
            check_owner(request.parent, request.resource, "resource")
        page = await self._storage.accesses(
            storage_pb2.ListAccessesRequest(
                parent=request.parent,
                resource=request.resource,
                page_size=request.page_size,
                page_token=request.page_token,
                flag=request.flag,
                purpose=request.purpose,
            )
        )
        return pb.ListAccessesResponse(accesses=page.accesses, next_page_token=page.next_page_token)

    async def watch(self, request: pb.WatchAccessesRequest) -> AsyncGenerator[pb.WatchAccessesResponse, None]:
        """The accesses from a cursor on, as they happen, until the reader leaves.

        Storage is asked again and again: nothing is held for a reader that is slow or gone. Raises
        INVALID_ARGUMENT for a cursor that was never given out, OVERLOADED above the Customer's number of
        streams, WRONG_TENANT and what storage refuses.
        """
        if request.resource:
            check_owner(request.parent, request.resource, "resource")
        asked = storage_pb2.FollowAccessesRequest(
            parent=request.parent,
            after=_position(request.cursor),
            page_size=_BATCH,
            resource=request.resource,
            flag=request.flag,
            purpose=request.purpose,
            only_position=request.only_new and not request.cursor,
        )
        calls.be_feed()
        told: int | None = None
        pause = _WATCH_SECONDS
        with self._streams.opened(request.parent):
            while True:
                page = await self._follow(asked)
                if page.accesses or told is None:
                    told = page.position
                    yield pb.WatchAccessesResponse(accesses=page.accesses, cursor=_cursor(told))
                moved = page.position > asked.after and not asked.only_position
                asked.after, asked.only_position = page.position, False
                if moved:
                    pause = _WATCH_SECONDS
                else:
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.1, _IDLE_SECONDS)

    async def _follow(self, asked: storage_pb2.FollowAccessesRequest) -> storage_pb2.FollowAccessesResponse:
        try:
            return await self._storage.follow(asked)
        except IdvError as error:
            if error.field == "after":
                raise _not_a_cursor() from error
            raise

    async def totals(self, request: pb.ListAccessTotalsRequest) -> pb.ListAccessTotalsResponse:
        """A page of the Customer's totals. Raises what storage refuses."""
        page = await self._storage.access_totals(
            storage_pb2.ListAccessTotalsRequest(
                parent=request.parent, page_size=request.page_size, page_token=request.page_token
            )
        )
        return pb.ListAccessTotalsResponse(totals=page.totals, next_page_token=page.next_page_token)


def _cursor(position: int) -> str:
    return f"a{position:x}"


def _position(cursor: str) -> int:
    """The position in a cursor; 0 without one. Raises INVALID_ARGUMENT."""
    if not cursor:
        return 0
    found = re.fullmatch(r"a([0-9a-f]{1,15})", cursor)
    if found is None:
        raise _not_a_cursor()
    return int(found[1], 16)


def _not_a_cursor() -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        "cursor is not one that this list of accesses gave out",
        field="cursor",
        remedy="go on from the last cursor, unchanged; after a restore from a backup, begin without one",
    )
