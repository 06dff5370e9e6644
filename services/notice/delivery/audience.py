"""Who is told of a version: everybody registered at the announcement, and whoever joins before its effect.

An announcement and a registration that run at once wait for each other, so nobody falls between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from idv.notice.v1 import customers_pb2, deliveries_pb2
from idv.notice.v1 import customers_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice import lifecycle
from services.notice import store as versions_store
from services.notice.delivery import acknowledgement_store, store
from services.notice.delivery.acknowledgement_store import Acknowledgement
from services.notice.delivery.store import Change


async def told(connection: AsyncConnection, version: int, now: datetime) -> int:
    """Puts a delivery for every registered Customer into the queue; how many the gate waits for.

    For the transaction that announces. With nobody registered the gate has nothing to wait for.
    """
    count = await store.fix_audience(connection, version, now)
    if not count:
        await store.set_times(connection, version, complete_time=now)
    return count


async def joining(connection: AsyncConnection) -> None:
    """To be called before Customers are registered: holds announcements back until the transaction ends."""
    await store.enroll_lock(connection)


async def joined(connection: AsyncConnection, tenants: Sequence[str], now: datetime) -> int | None:
    """Tells new Customers of the upcoming version, which they accept by registering; its number.

    None: no version is upcoming, or nobody has to be told of it first.
    """
    lives = [version.life for version in await versions_store.all_versions(connection)]
    upcoming = lifecycle.upcoming(lives, now)
    if upcoming is None or await store.audience(connection, upcoming.number) is None:
        return None
    await store.enroll(connection, upcoming.number, tenants, now)
    accepted = customers_pb2.ACKNOWLEDGEMENT_KIND_ACCEPTED
    channel = deliveries_pb2.ACKNOWLEDGEMENT_CHANNEL_REGISTRATION
    by_registering = [Acknowledgement(one, upcoming.number, accepted, channel, now) for one in tenants]
    await acknowledgement_store.add_all(connection, by_registering)
    return upcoming.number


async def moved(connection: AsyncConnection, tenant: str, now: datetime, *, of: int | None = None) -> None:
    """A Customer's address was corrected: what did not reach the old one is mailed to the new one.

    `of` names the one version to look at, whose lock is held already; locks are taken in order of number.
    """
    states = (
        pb.DELIVERY_STATE_BOUNCED,
        pb.DELIVERY_STATE_FAILED,
        pb.DELIVERY_STATE_COVERED_BY_WEBSITE,
    )
    versions = await versions_store.all_versions(connection)
    standing = lifecycle.in_force((version.life for version in versions), now)
    coming = lifecycle.upcoming((version.life for version in versions), now)
    for number in sorted({n for n in (standing, coming.number if coming else None) if n is not None}):
        if of in (None, number) and await store.audience(connection, number, lock=True) is not None:
            again = Change(tenant, pb.DELIVERY_STATE_QUEUED, now)
            await store.change(connection, number, [again], now, only_from=states)
            await store.restart(connection, number, tenant, now)
