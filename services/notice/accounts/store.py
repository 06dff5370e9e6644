"""SQL of Customers' accounts and of the calls that changed them. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.accounts.customer import Account
from services.notice.tables import customer_ids, customer_requests, customers


async def claim_request(
    connection: AsyncConnection, tenants: Sequence[str], request_id: UUID, fingerprint: bytes
) -> bytes | None:
    """Notes the request for each Customer; where one knows it, returns the first call's fingerprint instead.

    Waits for a concurrent call of the same id to commit or fail.
    """
    rows = [
        {"tenant": tenant, "request_id": request_id, "fingerprint": fingerprint} for tenant in sorted(tenants)
    ]
    claimed = upsert(customer_requests).values(rows).on_conflict_do_nothing()
    taken = (await connection.execute(claimed.returning(customer_requests.c.tenant))).scalars().all()
    if missing := sorted(set(tenants) - set(taken)):
        query = select(customer_requests.c.fingerprint).where(
            customer_requests.c.tenant == missing[0], customer_requests.c.request_id == request_id
        )
        known: bytes = (await connection.execute(query)).scalar_one()
        return known
    return None


async def add(connection: AsyncConnection, accounts: Sequence[Account], now: datetime) -> set[str]:
    """Stores the accounts whose ids are free, and returns their ids."""
    ids = [{"tenant": account.tenant} for account in sorted(accounts, key=lambda one: one.tenant)]
    free = upsert(customer_ids).values(ids).on_conflict_do_nothing().returning(customer_ids.c.tenant)
    added = set((await connection.execute(free)).scalars().all())
    rows = [
        _row(account) | {"create_time": now, "state_time": now}
        for account in accounts
        if account.tenant in added
    ]
    if rows:
        await connection.execute(insert(customers), rows)
    return added


async def account(connection: AsyncConnection, tenant: str, *, lock: bool = False) -> Account | None:
    """A Customer's account; `lock` keeps other transactions from changing it until this one ends."""
    query = select(customers).where(customers.c.tenant == tenant)
    if lock:
        query = query.with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _account(row)


async def accounts(connection: AsyncConnection) -> list[Account]:
    """The accounts of the transaction's Customers, by id."""
    rows = await connection.execute(select(customers).order_by(customers.c.tenant))
    return [_account(row) for row in rows]


async def ids_after(connection: AsyncConnection, tenant: str, limit: int) -> list[str]:
    """Ids of all Customers in their order, from the one after `tenant` on."""
    query = select(customer_ids.c.tenant).where(customer_ids.c.tenant > tenant)
    rows = await connection.execute(query.order_by(customer_ids.c.tenant).limit(limit))
    return list(rows.scalars())


async def replace(connection: AsyncConnection, changed: Account, state_time: datetime | None = None) -> None:
    """Stores an account in the place of the one that this transaction holds locked."""
    values = _row(changed) | ({"state_time": state_time} if state_time else {})
    await connection.execute(update(customers).where(customers.c.tenant == changed.tenant).values(values))


async def mark_offboarded(connection: AsyncConnection, tenant: str) -> None:
    """Notes with the id that its Customer was off-boarded: no audience counts it from now on."""
    gone = update(customer_ids).where(customer_ids.c.tenant == tenant)
    await connection.execute(gone.values(offboarded=True))


def _row(account: Account) -> dict[str, Any]:
    names = (column.name for column in customers.columns if column.name not in ("create_time", "state_time"))
    return {name: getattr(account, name) for name in names} | {"optional_items": list(account.optional_items)}


def _account(row: Row[Any]) -> Account:
    values = dict(row._mapping)
    values["optional_items"] = tuple(values["optional_items"])
    del values["create_time"], values["state_time"]
    return Account(**values)
