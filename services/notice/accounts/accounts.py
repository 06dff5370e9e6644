"""The operations on Customers' accounts; each opens its own transaction and is answered once for its id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

from idv.errors import FieldViolation, IdvError, Reason
from idv.notice.v1 import customers_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice import errors
from services.notice.accounts import store
from services.notice.accounts.customer import Account, AccountFault, emptied, faults
from services.notice.delivery import acknowledgement_store, audience
from services.runtime.clock import Clock

MAX_IMPORT_FAULTS = 40
"""Faults of an import that are told at once: an error travels in a trailer, and trailers are small."""


class TenantTransactions(Protocol):
    """Where an operation gets its transaction."""

    def transaction(self, tenants: Sequence[str] = ()) -> AbstractAsyncContextManager[AsyncConnection]:
        """One transaction that sees the rows of `tenants`; committed unless its block raises."""
        ...


@dataclass(frozen=True, slots=True)
class AccountCall:
    """Under which request id a change is asked for."""

    request_id: UUID
    fingerprint: bytes
    """SHA-256 over method and request: a retry asks the same."""


class Accounts:
    """Registers, changes, shows and lists Customers. `optional` holds the contract's optional items."""

    def __init__(self, database: TenantTransactions, clock: Clock, optional: Collection[str]) -> None:
        self._database = database
        self._clock = clock
        self._optional = optional

    async def create(self, account: Account, call: AccountCall) -> Account:
        """Registers a Customer. Raises INVALID_ARGUMENT with every fault, or ALREADY_EXISTS."""
        if found := list(faults(account, self._optional)):
            raise _invalid(_violations(found, "customer"))
        async with self._database.transaction([account.tenant]) as connection:
            if not await _first(connection, [account.tenant], call):
                return _found(await store.account(connection, account.tenant))
            await audience.joining(connection)
            now = self._clock.now()
            if not await store.add(connection, [account], now):
                raise IdvError(
                    Reason.ERROR_REASON_ALREADY_EXISTS,
                    f"customers/{account.tenant} is registered already",
                    field="customer.name",
                    remedy="choose another id, or update the Customer",
                )
            await audience.joined(connection, [account.tenant], now)
        return account

    async def import_all(self, accounts: Sequence[Account], call: AccountCall) -> int:
        """Registers all, or with any fault none: INVALID_ARGUMENT names each as `customers[i].field`."""
        if found := self._import_faults(accounts):
            raise _invalid(found)
        tenants = [account.tenant for account in accounts]
        async with self._database.transaction(tenants) as connection:
            if not await _first(connection, tenants, call):
                return len(accounts)
            await audience.joining(connection)
            now = self._clock.now()
            added = await store.add(connection, accounts, now)
            taken = [
                FieldViolation(f"customers[{index}].name", "a Customer of this id is registered already")
                for index, tenant in enumerate(tenants)
                if tenant not in added
            ]
            if taken:
                raise _invalid(taken)  # leaves the block: nothing of it is committed
            await audience.joined(connection, tenants, now)
        return len(accounts)

    async def get(self, tenant: str) -> Account:
        """A Customer. Raises NOT_FOUND."""
        async with self._database.transaction([tenant]) as connection:
            return _found(await store.account(connection, tenant))

    async def accepted_by_registering(self, tenant: str) -> int | None:
        """The version that was upcoming when the Customer was registered, if there was one to be told of."""
        async with self._database.transaction([tenant]) as connection:
            return await acknowledgement_store.by_registering(connection, tenant)

    async def page(self, after: str, limit: int) -> list[Account]:
        """Customers by id, from the one after `after` on."""
        found: list[Account] = []
        while len(found) < limit:  # of Customers long off-boarded only the ids are left: they fill no page
            async with self._database.transaction() as connection:
                tenants = await store.ids_after(connection, after, limit - len(found))
            if not tenants:
                break
            async with self._database.transaction(tenants) as connection:
                found += await store.accounts(connection)
            after = tenants[-1]
        return found

    async def update(self, tenant: str, values: dict[str, Any], call: AccountCall) -> Account:
        """Changes fields of an account. Raises INVALID_ARGUMENT with every fault, NOT_FOUND, or
        CUSTOMER_OFFBOARDED.
        """

        async def change(connection: AsyncConnection, before: Account) -> Account:
            changed = replace(before, **values)
            if found := [fault for fault in faults(changed, self._optional) if fault.field in values]:
                raise _invalid(_violations(found, "customer"))
            await store.replace(connection, changed)
            if changed.email != before.email:
                await audience.moved(connection, tenant, self._clock.now())
            return changed

        return await self._change(tenant, call, change)

    async def set_state(self, tenant: str, state: pb.CustomerState.ValueType, call: AccountCall) -> Account:
        """Suspends or activates a Customer, or off-boards it for good: contacts and settings go.

        Raises NOT_FOUND, CUSTOMER_OFFBOARDED.
        """
        gone = state == pb.CUSTOMER_STATE_OFFBOARDED

        async def change(connection: AsyncConnection, before: Account) -> Account:
            if before.state == state:
                return before
            changed = emptied(before) if gone else replace(before, state=state)
            await store.replace(connection, changed, self._clock.now())
            if gone:
                await store.mark_offboarded(connection, tenant)
            return changed

        return await self._change(tenant, call, change, of_the_gone=gone)

    async def _change(
        self,
        tenant: str,
        call: AccountCall,
        change: Callable[[AsyncConnection, Account], Awaitable[Account]],
        *,
        of_the_gone: bool = False,
    ) -> Account:
        async with self._database.transaction([tenant]) as connection:
            account = _found(await store.account(connection, tenant, lock=True))
            if not await _first(connection, [tenant], call):
                return account
            if account.state == pb.CUSTOMER_STATE_OFFBOARDED and not of_the_gone:
                raise errors.offboarded(tenant)
            return await change(connection, account)

    def _import_faults(self, accounts: Sequence[Account]) -> list[FieldViolation]:
        found: list[FieldViolation] = []
        seen: set[str] = set()
        for index, account in enumerate(accounts):
            place = f"customers[{index}]"
            found += _violations(faults(account, self._optional), place)
            if account.tenant in seen:
                found.append(FieldViolation(f"{place}.name", "the id stands there twice"))
            seen.add(account.tenant)
        return found


async def _first(connection: AsyncConnection, tenants: Sequence[str], call: AccountCall) -> bool:
    """Whether the call is the first of its id. Raises REQUEST_ID_REUSED where it was used otherwise."""
    known = await store.claim_request(connection, tenants, call.request_id, call.fingerprint)
    if known is not None and known != call.fingerprint:
        raise errors.reused()
    return known is None


def _violations(found: Sequence[AccountFault] | Any, place: str) -> list[FieldViolation]:
    return [FieldViolation(f"{place}.{fault.field}", fault.reason) for fault in found]


def _invalid(found: Sequence[FieldViolation]) -> IdvError:
    count = len(found)
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        f"{count} fault{'' if count == 1 else 's'}, and nothing was changed",
        remedy="correct each",
        metadata={"faults": str(count)},
        violations=found[:MAX_IMPORT_FAULTS],
    )


def _found(account: Account | None) -> Account:
    if account is None:
        raise IdvError(
            Reason.ERROR_REASON_NOT_FOUND,
            "no such Customer is registered",
            remedy="register the Customer",
        )
    return account
