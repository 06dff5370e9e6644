"""Sessions: the sealed attestation under which data may enter, one for each request id of a Customer."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.instants import timestamp
from services.runtime.resources import SessionName, parse_customer, session_name
from services.storage import ids
from services.storage.associated import Binding
from services.storage.closed import check_open
from services.storage.days import Days
from services.storage.instants import received
from services.storage.keys import Keyring
from services.storage.opt_outs import OptOuts
from services.storage.restrictions import Restrictions
from services.storage.store import days as day_store
from services.storage.store import fences, locks
from services.storage.store import sessions as store
from services.storage.store.driver import driver

_ITEM = "session"


class Sessions:
    """Opens and describes sessions."""

    def __init__(
        self,
        database: Database,
        keys: Keyring,
        days: Days,
        clock: Clock,
        deployment: str,
        *,
        restrictions: Restrictions,
        opt_outs: OptOuts,
    ) -> None:
        self._database, self._keys, self._days, self._clock = database, keys, days, clock
        self._deployment, self._restrictions, self._opt_outs = deployment, restrictions, opt_outs
        self._tenants: set[str] = set()

    async def create(self, request: storage_pb2.CreateSessionRequest) -> processing_pb2.Session:
        """The new session, or the first one made under this request id.

        Raises REQUEST_ID_REUSED for other content, ERASED when that session was erased or everything received
        then was, OPTED_OUT, WRONG_STATE when the day keeps its data for another time, TIME_OUT_OF_RANGE,
        CUSTOMER_OFFBOARDED.
        """
        customer = parse_customer(request.parent, field="parent")
        created = received(request.receive_time, self._clock.now(), field="receive_time")
        day, request_id = created.date(), UUID(request.request_id)
        await self._days.fix_term(day, request.retention_days)
        row = await self._seal(request, customer, request_id, created)
        standing = await self._restrictions.standing(customer, request.subject)
        digest = await self._opt_outs.digest(customer, request.subject)
        nearby = (day, day - timedelta(days=1))  # a repeat may arrive after midnight
        async with self._database.transaction([customer]) as connection:
            await locks.request(connection, customer, request_id)
            await locks.day_for_writing(await driver(connection), day)
            first = await store.find_request(connection, nearby, customer, request_id)
            if first is None:
                await check_open(connection, customer)
                await _check_fences(connection, row)
                await self._opt_outs.check(connection, customer, digest, request.items)
                row = await self._restrictions.take_over(connection, row, standing)
                if customer not in self._tenants:
                    await day_store.add_tenant(connection, customer)
                await store.add(connection, row)
        self._tenants.add(customer)
        if first is not None:
            await self._compare(first, request)
        return await self._describe(first or row)

    async def get(self, name: SessionName) -> processing_pb2.Session:
        """A session's description; raises NOT_FOUND or ERASED."""
        row = await self._find(name)
        if row.state == store.ERASED:
            raise _erased()
        return await self._describe(row)

    async def opening(self, row: store.SessionRow) -> storage_pb2.SessionOpening:
        """The session with what it was opened with; raises ERASED or EXPIRED."""
        content = await self._open(row)
        return storage_pb2.SessionOpening(
            session=await self._describe(row), subject=content.subject, attestation=content.attestation
        )

    async def _find(self, name: SessionName) -> store.SessionRow:
        session = UUID(name.session)
        try:
            day = ids.session_day(session)
        except ValueError:
            raise _not_found() from None
        async with self._database.transaction([name.customer]) as connection:
            row = await store.find(connection, day, session)
        if row is None:
            raise _not_found()
        return row

    async def _seal(
        self, request: storage_pb2.CreateSessionRequest, customer: str, request_id: UUID, created: datetime
    ) -> store.SessionRow:
        session = ids.new_session_id(created)
        day_key = await self._keys.day_key(created.date())
        epoch = ids.session_epoch(session)
        keys = await self._keys.sealing(epoch, _ITEM, customer, session)
        binding = Binding(self._deployment, customer, str(session), "", _ITEM, request.notice_version, epoch)
        return store.SessionRow(
            day=created.date(),
            customer=customer,
            session=session,
            request_id=request_id,
            request_mac=day_key.content(customer, _content(request)),
            subject_digest=day_key.subject(customer, request.subject),
            notice_version=request.notice_version,
            purposes=sorted({int(purpose) for purpose in request.purposes}),
            create_time=created,
            close_time=created + timedelta(seconds=request.open_seconds),
            state=store.ACTIVE,
            erasure=None,
            commitment=keys.commitment,
            details=keys.seal_details(request.SerializeToString(deterministic=True), binding.encode()),
        )

    async def _compare(self, first: store.SessionRow, request: storage_pb2.CreateSessionRequest) -> None:
        """Lets a repeat of the first request pass."""
        if first.state == store.ERASED or first.request_mac is None:
            raise _erased()
        day_key = await self._keys.day_key(first.day)
        if not hmac.compare_digest(first.request_mac, day_key.content(first.customer, _content(request))):
            raise IdvError(
                Reason.ERROR_REASON_REQUEST_ID_REUSED,
                "the request id was used before for a session with other content",
                field="request_id",
                remedy="use a new UUID for each new session",
            )

    async def _describe(self, row: store.SessionRow) -> processing_pb2.Session:
        content = await self._open(row)
        return processing_pb2.Session(
            name=session_name(row.customer, str(row.session)),
            create_time=timestamp(row.create_time),
            close_time=timestamp(row.close_time),
            expire_time=timestamp(row.close_time + await self._days.term(row.day)),
            items=content.items,
            notice_version=row.notice_version,
            state=processing_pb2.SESSION_STATE_ACTIVE,
        )

    async def _open(self, row: store.SessionRow) -> storage_pb2.CreateSessionRequest:
        if row.details is None:
            raise _erased()
        epoch = ids.session_epoch(row.session)
        keys = await self._keys.opening(epoch, _ITEM, row.customer, row.session)
        keys.commits_to(row.commitment)
        binding = Binding(
            self._deployment, row.customer, str(row.session), "", _ITEM, row.notice_version, epoch
        )
        content = keys.open_details(row.details, binding.encode())
        return storage_pb2.CreateSessionRequest.FromString(content)


async def _check_fences(connection: AsyncConnection, row: store.SessionRow) -> None:
    """Raises ERASED for a session that an erasure of everything of its time has overtaken."""
    for fence in await fences.listed(await driver(connection), row.day, [row.customer]):
        if fence.holds(row.customer, None, row.create_time):
            raise _erased()


def _content(request: storage_pb2.CreateSessionRequest) -> bytes:
    """What a repeat must have in common with the first request."""
    # The rest is what ingest adds: when it came, and how it read the notice at that moment.
    own = storage_pb2.CreateSessionRequest(
        subject=request.subject, attestation=request.attestation, items=request.items
    )
    return own.SerializeToString(deterministic=True)


def _not_found() -> IdvError:
    return IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such session")


def _erased() -> IdvError:
    return IdvError(Reason.ERROR_REASON_ERASED, "the session was erased at the Customer's request")
