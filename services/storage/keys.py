"""Root keys: one per epoch, made once, cached in memory, and gone when their last record has expired."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from uuid import UUID

from idv.errors import IdvError, Reason

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.storage.authority import EVERY_VERSION, KeyAuthority, KeyDestroyedError
from services.storage.days import Days
from services.storage.derivation import KEY_SIZE, DayKey, SealingKeys, derive
from services.storage.epochs import Epoch
from services.storage.store import keys as key_store
from services.storage.store import locks
from services.storage.store.driver import driver


class Keyring:
    """The only place that holds root keys. Whatever needs a key asks for what it seals or opens."""

    def __init__(self, database: Database, authority: KeyAuthority, days: Days, clock: Clock) -> None:
        self._database, self._authority, self._days, self._clock = database, authority, days, clock
        self._held: dict[Epoch, bytearray] = {}
        self._turns: defaultdict[Epoch, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def sealing(self, epoch: Epoch, kind: str, customer: str, *ids: UUID) -> SealingKeys:
        """The keys to seal something new with; makes the epoch's root key if need be. Raises EXPIRED."""
        return derive(await self._root(epoch, make=True), kind, customer, *ids)

    async def opening(self, epoch: Epoch, kind: str, customer: str, *ids: UUID) -> SealingKeys:
        """The keys to open something with. Raises EXPIRED when the root key is destroyed or due."""
        return derive(await self._root(epoch, make=False), kind, customer, *ids)

    async def warm(self, epoch: Epoch) -> None:
        """Reads the epoch's root key, if there is one, before a transaction begins that will open something.

        Nothing may wait for a second connection while it holds one.
        """
        with contextlib.suppress(IdvError):  # whoever opens something is told
            await self._root(epoch, make=False)

    async def day_key(self, day: date) -> DayKey:
        """The key of the day's digests, made if need be. Raises EXPIRED."""
        return DayKey(bytes(await self._root(Epoch.of_day(day), make=True)))

    async def existing_day_key(self, day: date) -> DayKey | None:
        """The key of the day's digests; None when nothing was ever digested, or the key is destroyed."""
        try:
            return DayKey(bytes(await self._root(Epoch.of_day(day), make=False)))
        except IdvError as error:
            if error.reason != Reason.ERROR_REASON_EXPIRED:
                raise
            return None

    async def drop_due(self) -> None:
        """Overwrites every cached root key that is due."""
        for epoch in list(self._held):
            if await self._is_due(epoch):
                self._drop(epoch)

    async def destroy(self, epochs: Sequence[Epoch]) -> None:
        """Destroys root keys for good: every copy of their sealed form is dead when this returns.

        Idempotent. Raises RuntimeError when a sealed root still opens afterwards.
        """
        for epoch in epochs:
            self._drop(epoch)
        _, stored = await asyncio.gather(
            self._authority.destroy_below({key_name(epoch): EVERY_VERSION for epoch in epochs}),
            self._sealed({epoch.day for epoch in epochs}),
        )
        for epoch in epochs:
            if epoch in stored:
                await self._prove_dead(epoch, *stored[epoch])

    async def opens(self, epoch: Epoch) -> bool:
        """Whether the sealed root key still opens, due or not: for whoever checks that it was destroyed."""
        async with self._database.transaction() as connection:
            stored = await key_store.find_root(connection, epoch)
        if stored is None or stored.sealed is None:
            return False
        try:
            await self._authority.open(key_name(epoch), stored.version, stored.sealed)
        except KeyDestroyedError:
            return False
        return True

    async def _sealed(self, days: set[date]) -> dict[Epoch, tuple[int, bytes]]:
        async with self._database.transaction() as connection:
            return await key_store.find_sealed(await driver(connection), days)

    async def _prove_dead(self, epoch: Epoch, version: int, sealed: bytes) -> None:
        name = key_name(epoch)
        try:
            await self._authority.open(name, version, sealed)
        except KeyDestroyedError:
            return
        raise RuntimeError(f"the root key of {name} still opens after its destruction")

    async def _root(self, epoch: Epoch, *, make: bool) -> bytearray:
        if await self._is_due(epoch):
            self._drop(epoch)
            raise _gone(epoch)
        held = self._held.get(epoch)
        if held is None:
            try:
                async with self._turns[epoch]:
                    held = self._held.get(epoch) or await self._load(epoch, make=make)
            finally:
                self._turns.pop(epoch, None)
        return held

    async def _is_due(self, epoch: Epoch) -> bool:
        return epoch.due(await self._days.term(epoch.day)) <= self._clock.now()

    async def _load(self, epoch: Epoch, *, make: bool) -> bytearray:
        async with self._database.transaction() as connection:
            stored = await key_store.find_root(connection, epoch)
        root = await self._open(epoch, stored) if stored else await self._make(epoch, make=make)
        return self._held.setdefault(epoch, bytearray(root))

    async def _open(self, epoch: Epoch, stored: key_store.Root) -> bytes:
        if stored.sealed is None:
            raise _gone(epoch)
        try:
            return await self._authority.open(key_name(epoch), stored.version, stored.sealed)
        except KeyDestroyedError:
            raise _gone(epoch) from None

    async def _make(self, epoch: Epoch, *, make: bool) -> bytes:
        if not make:
            raise _gone(epoch)
        async with self._database.transaction() as connection:
            await locks.epoch(connection, epoch)
            stored = await key_store.find_root(connection, epoch)
            if stored is not None:
                return await self._open(epoch, stored)
            name, root = key_name(epoch), os.urandom(KEY_SIZE)
            version = await self._authority.make(name)
            sealed = await self._authority.seal(name, version, root)
            await key_store.add_root(connection, epoch, version, sealed)
        return root

    def _drop(self, epoch: Epoch) -> None:
        held = self._held.pop(epoch, None)
        if held is not None:
            held[:] = bytes(len(held))


def key_name(epoch: Epoch) -> str:
    """The name of the authority's key that seals the epoch's root: `20261124/037`."""
    return f"{epoch.day:%Y%m%d}/{epoch.slot:03}"


def _gone(epoch: Epoch) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_EXPIRED,
        f"what was received in quarter-hour {epoch.slot} of {epoch.day} has no key any more",
    )
