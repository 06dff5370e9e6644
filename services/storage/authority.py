"""The key authority: makes, uses and destroys sealing keys that never leave it.

Root keys rest only sealed under a version of a named key; destroying the version makes every copy of the
sealed root, wherever it lies, unreadable.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.storage.associated import length_prefixed
from services.storage.slots import SlotFile

_NONCE_SIZE = 12
EVERY_VERSION = 2**63 - 1
"""Above any version: `destroy_below({name: EVERY_VERSION})` destroys the name."""


class KeyDestroyedError(Exception):
    """The version is destroyed: what it sealed cannot be opened by anyone."""


class SealBrokenError(Exception):
    """The version exists, but these bytes are not what it sealed under this name."""


class KeyAuthority(Protocol):
    """Where sealing keys live. Names are opaque; versions of a name only grow and are never used twice.

    `claim` says in one sentence what a destruction by this authority means, for receipts.
    """

    claim: str

    async def make(self, name: str) -> int:
        """Makes a new version of the named key, durable before it is returned."""

    async def seal(self, name: str, version: int, secret: bytes) -> bytes:
        """Seals a secret of a few dozen bytes; raises KeyDestroyedError."""

    async def open(self, name: str, version: int, sealed: bytes) -> bytes:
        """Opens what `seal` returned; raises KeyDestroyedError or SealBrokenError."""

    async def destroy_below(self, versions: Mapping[str, int]) -> int:
        """Destroys, for each name, every version below the one given, for good once it returns.

        Returns how many there were.
        """


class LocalSlots:
    """A key authority in a file of slots, for development and single hosts.

    What it can claim: the destroyed key is overwritten in place and synced on this host's file system. Copies
    that someone made of the file itself are outside of it.
    """

    claim = "each key is overwritten in place on one host's disk; a copy of its file would still hold it"

    def __init__(self, slots: SlotFile) -> None:
        self._slots = slots

    async def make(self, name: str) -> int:
        """See KeyAuthority."""
        return await asyncio.to_thread(self._slots.make, name)

    async def seal(self, name: str, version: int, secret: bytes) -> bytes:
        """See KeyAuthority."""
        cipher = await self._cipher(name, version)
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + cipher.encrypt(nonce, secret, _bound(name, version))

    async def open(self, name: str, version: int, sealed: bytes) -> bytes:
        """See KeyAuthority."""
        cipher = await self._cipher(name, version)
        try:
            return cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], _bound(name, version))
        except (InvalidTag, ValueError):
            raise SealBrokenError(f"the sealed root of {name} is not what version {version} sealed") from None

    async def destroy_below(self, versions: Mapping[str, int]) -> int:
        """See KeyAuthority."""
        return await asyncio.to_thread(self._slots.destroy_below, versions)

    async def _cipher(self, name: str, version: int) -> AESGCM:
        try:
            key = self._slots.key(name, version, wait=False)
        except BlockingIOError:  # someone writes and syncs: not on the event loop
            key = await asyncio.to_thread(self._slots.key, name, version)
        if key is None:
            raise KeyDestroyedError(f"version {version} of {name} is destroyed")
        return AESGCM(key)


def _bound(name: str, version: int) -> bytes:
    return length_prefixed(b"idv root 1", name.encode(), version.to_bytes(8, "big"))
