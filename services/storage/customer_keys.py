"""The long-lived key of a Customer, for digests that outlive days: those who opted out are known by no other.

It is sealed by the authority under a name of its own, and made with the Customer's first opt-out.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from idv.errors import IdvError, Reason

from services.runtime.database import Database
from services.storage.associated import length_prefixed
from services.storage.authority import KeyAuthority, KeyDestroyedError
from services.storage.closed import check_open
from services.storage.derivation import KEY_SIZE
from services.storage.store import locks
from services.storage.store import rights as store


class CustomerKeys:
    """Makes and opens the keys; each is opened once by a process."""

    def __init__(self, database: Database, authority: KeyAuthority) -> None:
        self._database, self._authority = database, authority
        self._held: dict[str, bytes] = {}

    async def digest(self, customer: str, subject: str, *, make: bool) -> bytes | None:
        """What a subject is known by within a Customer, 16 bytes; None when the Customer has no key yet.

        Raises WRONG_STATE when the authority lost the key, CUSTOMER_OFFBOARDED instead of making one.
        """
        key = self._held.get(customer) or await self._load(customer, make=make)
        if key is None:
            return None
        self._held[customer] = key
        text = length_prefixed(b"opt-out", customer.encode(), subject.encode())
        return hmac.digest(key, text, hashlib.sha256)[:16]

    async def destroy(self, customer: str) -> None:
        """Destroys every version of the key that sealed anything; a repeat destroys what is left.

        The row that held the sealed key is gone before. A version that seals nothing is made to end them.
        """
        self._held.pop(customer, None)
        name = _name(customer)
        await self._authority.destroy_below({name: await self._authority.make(name)})

    async def _load(self, customer: str, *, make: bool) -> bytes | None:
        async with self._database.transaction([customer]) as connection:
            stored = await store.find_key(connection, customer)
            if stored is None and make:
                await locks.customer(connection, customer)
                stored = await store.find_key(connection, customer)
                if stored is None:
                    await check_open(connection, customer)
                    key = os.urandom(KEY_SIZE)
                    version = await self._authority.make(_name(customer))
                    sealed = await self._authority.seal(_name(customer), version, key)
                    await store.add_key(connection, customer, version, sealed)
                    stored = version, sealed
        return await self._open(customer, *stored) if stored else None

    async def _open(self, customer: str, version: int, sealed: bytes) -> bytes:
        try:
            return await self._authority.open(_name(customer), version, sealed)
        except KeyDestroyedError:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_STATE,
                "the key under which this Customer's opt-outs are known is lost",
                remedy="the operator puts the key authority's newest state back",
            ) from None


def _name(customer: str) -> str:
    return f"customer/{customer}"
