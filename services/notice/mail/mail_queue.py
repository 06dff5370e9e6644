"""The queue of mails that were composed when they were asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from idv.errors import IdvError
from idv.notice.v1 import customers_pb2 as pb

from services.notice.accounts.accounts import TenantTransactions
from services.notice.mail import store
from services.notice.mail.queue import Ended, Parcel
from services.notice.mail.schedule import Outcome
from services.notice.mail.store import End


class MailQueue:
    """A `Queue`."""

    def __init__(self, database: TenantTransactions) -> None:
        self._database = database

    async def take(self, now: datetime, until: datetime, limit: int) -> list[Parcel]:
        """Takes mails that are due; one that another worker ended meanwhile is dropped."""
        while True:
            async with self._database.transaction() as connection:
                works = await store.take(connection, now, until, limit)
            if not works:
                return []
            try:
                tenants = sorted({work.tenant for work in works})
                async with self._database.transaction(tenants) as connection:
                    mails = await store.mails_of(connection, works)
                    ended = [work for work in works if work.mail not in mails]
                    await store.drop(connection, [work.mail for work in ended])
            except BaseException:  # also where this process ends: they wait for no takeover
                with contextlib.suppress(IdvError):
                    async with self._database.transaction() as connection:
                        await store.put_back(connection, [work.mail for work in works], now)
                raise
            if mails:
                break
        return [
            Parcel(
                key=(work.tenant, str(work.mail)),
                recipient=mail.recipient,
                sender=None,
                content=mail.content or b"",
                attempts=work.attempts,
                asked=mail.create_time,
                until=until,
            )
            for work in works
            if (mail := mails.get(work.mail))
        ]

    async def record(self, ended: Sequence[Ended], now: datetime) -> None:
        """Stores final states with their evidence, and when the others are due again."""
        tenants = sorted({end.parcel.tenant for end in ended})
        async with self._database.transaction(tenants) as connection:
            await store.end(connection, [_end(end) for end in ended], now)

    async def put_back(self, parcels: Sequence[Parcel], due: datetime) -> None:
        """Gives back what was taken and not tried."""
        async with self._database.transaction() as connection:
            await store.put_back(connection, [UUID(parcel.key[1]) for parcel in parcels], due)


def _end(ended: Ended) -> End:
    if ended.again is not None:
        state = pb.DELIVERY_STATE_QUEUED
    elif ended.outcome is Outcome.ACCEPTED:
        state = pb.DELIVERY_STATE_ACCEPTED
    else:
        state = pb.DELIVERY_STATE_FAILED
    parcel = ended.parcel
    return End(parcel.tenant, UUID(parcel.key[1]), state, ended.reply, parcel.attempts, ended.again)
