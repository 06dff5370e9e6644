"""The versions of the notice: drafted, reviewed, announced, withdrawn, and found by number or instant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from idv.errors import IdvError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice import announcing, errors, lifecycle, store
from services.notice.catalogue import CatalogueItem
from services.notice.content import Version, digest
from services.notice.faults import InvalidNoticeError
from services.notice.folder import Draft, Sources, parse
from services.notice.lifecycle import Life, State
from services.notice.materiality import Change, compare, is_material
from services.notice.text import Text
from services.runtime.clock import Clock


class Transactions(Protocol):
    """Where a domain operation gets its transaction."""

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One transaction, committed when the block ends without an exception."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for a change, and under which request id."""

    actor: str
    """Name of the internal service."""
    request_id: UUID
    fingerprint: bytes
    """SHA-256 over method and request: a retry asks the same."""


@dataclass(frozen=True, slots=True)
class Review:
    """A draft against the version in force."""

    changes: tuple[Change, ...]
    refusals: tuple[IdvError, ...]
    """What an announcement now, to take effect at once, would be refused for."""

    @property
    def material(self) -> bool:
        """Whether any change is material."""
        return is_material(self.changes)


@dataclass(frozen=True, slots=True)
class Shelf:
    """All versions as they stood at one instant."""

    versions: tuple[Version, ...]
    at: datetime

    @property
    def lives(self) -> list[Life]:
        """The life of each."""
        return [version.life for version in self.versions]

    def state(self, version: Version) -> State:
        """State of a version at the shelf's instant."""
        return lifecycle.state(version.life, self.lives, self.at)

    def number(self, number: int) -> Version:
        """The version with this number. Raises NOT_FOUND."""
        for version in self.versions:
            if version.number == number:
                return version
        raise errors.not_found(number)

    def in_force(self) -> Version | None:
        """The version in force at the shelf's instant."""
        return announcing.before(self.versions, self.at)


class Versions:
    """The operations on versions; each opens its own transaction."""

    def __init__(self, database: Transactions, clock: Clock, items: Mapping[str, CatalogueItem]) -> None:
        self._database = database
        self._clock = clock
        self._items = items

    async def draft(self, sources: Sources, call: Call) -> tuple[Version, Shelf]:
        """Stores a draft. Raises NOTICE_INVALID with the faults, and stores nothing, unless there is none."""
        try:
            draft = await asyncio.to_thread(parse, sources, self._items)  # a long text takes a while
        except InvalidNoticeError as error:
            raise errors.invalid(error) from error

        async def change(connection: AsyncConnection, shelf: Shelf) -> int:
            number = max((version.number for version in shelf.versions), default=0) + 1
            version = _drafted(draft, number, shelf.at)
            await store.insert_version(connection, version, draft.terms_yaml, draft.texts)
            await store.append_change(connection, number, "created", shelf.at, call.actor)
            return number

        return await self._change(call, change)

    async def announce(self, number: int, effective: datetime | None, call: Call) -> tuple[Version, Shelf]:
        """Announces a draft, to take effect at once (None) or at an instant.

        Raises NOT_FOUND, WRONG_STATE, TIME_OUT_OF_RANGE, NOTICE_MATERIAL, or INVALID_ARGUMENT when retention
        would change at another time than 00:00 UTC.
        """

        async def change(connection: AsyncConnection, shelf: Shelf) -> int:
            draft = shelf.number(number)
            for refusal in announcing.refusals(draft, shelf.versions, effective, shelf.at):
                raise refusal
            start = announcing.effective_time(effective, shelf.versions, shelf.at)
            # Nobody has to be told first, so the gate is clear from the start.
            life = replace(draft.life, announce_time=shelf.at, effective_time=start, clear_time=shelf.at)
            await store.announce(connection, life, material=False)
            await store.append_change(connection, number, "announced", shelf.at, call.actor)
            return number

        return await self._change(call, change)

    async def withdraw(self, number: int, reason: str, call: Call) -> tuple[Version, Shelf]:
        """Withdraws a draft, or a version before it takes effect. Raises NOT_FOUND or WRONG_STATE."""

        async def change(connection: AsyncConnection, shelf: Shelf) -> int:
            state = shelf.state(shelf.number(number))
            if state not in (State.DRAFT, State.ANNOUNCED):
                rule = "a version can be withdrawn only before it takes effect"
                raise errors.wrong_state(number, state, rule, "announce another version in its place")
            await store.withdraw(connection, number, shelf.at)
            await store.append_change(connection, number, "withdrawn", shelf.at, call.actor, reason)
            return number

        return await self._change(call, change)

    async def review(self, number: int) -> Review:
        """Compares a version with the one in force. Raises NOT_FOUND."""
        shelf = await self.shelf()
        draft, previous = shelf.number(number), shelf.in_force()
        changes = (
            () if previous is None or previous.number == number else compare(previous.terms, draft.terms)
        )
        return Review(changes, tuple(announcing.refusals(draft, shelf.versions, None, shelf.at)))

    async def shelf(self, at: datetime | None = None) -> Shelf:
        """All versions, as of an instant; now unless given."""
        async with self._database.transaction() as connection:
            return Shelf(await store.all_versions(connection), at or self._clock.now())

    async def texts(self, number: int) -> tuple[Text, ...]:
        """The texts of a version, by language; none when there is no such version."""
        async with self._database.transaction() as connection:
            return await store.texts_of(connection, number)

    async def revision(self) -> int:
        """How often anything changed; it moves with every change."""
        async with self._database.transaction() as connection:
            return await store.revision(connection)

    async def _change(
        self, call: Call, change: Callable[[AsyncConnection, Shelf], Awaitable[int]]
    ) -> tuple[Version, Shelf]:
        """Runs one change alone, once for its request id, and returns the version as it stands after.

        Raises REQUEST_ID_REUSED when the id was used for something else.
        """
        async with self._database.transaction() as connection:
            await store.lock(connection)
            now = self._clock.now()
            known = await store.answered(connection, call.request_id)
            if known is None:
                number = await change(connection, Shelf(await store.all_versions(connection), now))
                await store.remember(connection, call.request_id, call.fingerprint, number)
            elif known[1] != call.fingerprint:
                raise errors.reused()
            else:
                number = known[0]
            shelf = Shelf(await store.all_versions(connection), now)
            return shelf.number(number), shelf


def _drafted(draft: Draft, number: int, now: datetime) -> Version:
    return Version(Life(number, now), draft.terms, digest(draft.terms, draft.texts), None)
