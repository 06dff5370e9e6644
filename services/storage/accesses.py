"""The access log: every access to a record, listed and followed by the Customer who owns it."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.runtime.database import Database
from services.runtime.resources import parse_customer, parse_record, parse_session
from services.storage import ids, pages
from services.storage.access_details import AccessDetails
from services.storage.numbering import Numbering
from services.storage.store import access_order
from services.storage.store import accesses as store
from services.storage.store.accesses import Place


class AccessLog:
    """Lists accesses, follows them, and counts them."""

    def __init__(self, database: Database, details: AccessDetails, numbering: Numbering) -> None:
        self._database, self._details, self._numbering = database, details, numbering

    async def list(self, request: storage_pb2.ListAccessesRequest) -> storage_pb2.ListAccessesResponse:
        """A page of a Customer's accesses, the newest first; one whose details have died is not listed."""
        customer = parse_customer(request.parent, field="parent")
        only = _only(request.resource, customer)
        before = pages.decode(request.page_token)
        size = request.page_size or pages.DEFAULT_SIZE
        if before is None:
            await self._numbering.number(customer)
        async with self._database.transaction([customer]) as connection:
            rows = await store.page(connection, customer, only, _bit(request.flag), before, size)
        answer = storage_pb2.ListAccessesResponse()
        for row in rows:
            access = await self._details.open(row)
            if access is not None and request.purpose in (0, access.purpose):
                answer.accesses.append(access)
        if len(rows) == size:
            answer.next_page_token = pages.encode(rows[-1].access_time, rows[-1].access)
        return answer

    async def follow(self, request: storage_pb2.FollowAccessesRequest) -> storage_pb2.FollowAccessesResponse:
        """The accesses after a position, in order.

        Raises INVALID_ARGUMENT for a position that was never given: the store is older than who follows it.
        """
        customer = parse_customer(request.parent, field="parent")
        only = _only(request.resource, customer)
        size = request.page_size or pages.DEFAULT_SIZE
        if not request.after:
            await self._numbering.number(customer)
        rows: list[store.AccessRow] = []
        async with self._database.transaction([customer]) as connection:
            head = await access_order.head(connection, customer)
            if head > request.after and not request.only_position:
                rows += await store.following(
                    connection, customer, only, _bit(request.flag), request.after, size, until=head
                )
        if request.after > head:
            raise _ahead()
        last = rows[-1].position if len(rows) == size else None
        answer = storage_pb2.FollowAccessesResponse(position=last or head)
        for row in rows:
            access = await self._details.open(row)
            if access is not None and request.purpose in (0, access.purpose):
                answer.accesses.append(access)
        return answer

    async def totals(
        self, request: storage_pb2.ListAccessTotalsRequest
    ) -> storage_pb2.ListAccessTotalsResponse:
        """A page of a Customer's totals, the newest day first."""
        customer = parse_customer(request.parent, field="parent")
        before = _total_place(request.page_token)
        size = request.page_size or pages.DEFAULT_SIZE
        if before is None:
            await self._numbering.number(customer)
        async with self._database.transaction([customer]) as connection:
            rows = await access_order.totals_page(connection, customer, before, size)
        answer = storage_pb2.ListAccessTotalsResponse(totals=map(_total, rows))
        if len(rows) == size:
            last = rows[-1]
            answer.next_page_token = f"{last.day.isoformat()}/{last.service}/{last.purpose}"
        return answer


def _total(row: access_order.TotalRow) -> processing_pb2.AccessTotal:
    fields = {**row._asdict(), "day": row.day.isoformat()}
    return processing_pb2.AccessTotal(**fields)


def _total_place(token: str) -> tuple[date, str, int] | None:
    """The total that a page begins after."""
    if not token:
        return None
    try:
        day, service, purpose = token.split("/")
        number = int(purpose)
        if not 0 <= number < 1 << 15 or "\0" in service:
            raise ValueError("no purpose")
        return date.fromisoformat(day), service, number
    except ValueError:
        raise pages.malformed() from None


def _bit(flag: int) -> int:
    return 1 << flag if flag else 0


def _ahead() -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        "the list of accesses ends before this position: it was restored from a backup, or is another one",
        field="after",
        remedy="follow from the beginning again",
    )


def _only(resource: str, customer: str) -> Place | None:
    """What the list is limited to: a session or a record, by its place."""
    if not resource:
        return None
    if "/records/" in resource:
        name = parse_record(resource, field="resource")
        owner, session, record = name.customer, UUID(name.session), UUID(name.record)
    else:
        named = parse_session(resource, field="resource")
        owner, session, record = named.customer, UUID(named.session), None
    if owner != customer:
        raise IdvError(
            Reason.ERROR_REASON_WRONG_TENANT, "resource belongs to another Customer", field="resource"
        )
    try:
        return ids.session_day(session), session, record
    except ValueError:
        raise IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such session") from None
