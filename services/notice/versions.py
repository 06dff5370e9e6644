"""The versions of the notice: drafted, reviewed, announced, withdrawn, and found by number or instant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice import announcing, errors, lifecycle, reviewing, store
from services.notice.catalogue import CatalogueItem
from services.notice.content import Version, digest
from services.notice.delivery import audience, evidence_store
from services.notice.faults import InvalidNoticeError
from services.notice.folder import Draft, Sources, parse
from services.notice.lifecycle import Life, State
from services.notice.reviewing import Candidate, Comparison, Question, Review
from services.notice.rules import HOUSE, NO_WISH, Rules, Wish
from services.notice.store import StoredChange
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
    """Name of the internal service; after a slash, the person whom its certificate names."""
    request_id: UUID
    fingerprint: bytes
    """SHA-256 over method and request: a retry asks the same."""


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

    def __init__(
        self,
        database: Transactions,
        clock: Clock,
        items: Mapping[str, CatalogueItem],
        rules: Rules = HOUSE,
    ) -> None:
        self._database = database
        self._clock = clock
        self._items = items
        self._rules = rules

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

    async def announce(
        self, number: int, effective: datetime | None, call: Call, wish: Wish = NO_WISH
    ) -> tuple[Version, Shelf]:
        """Announces a draft, to take effect at once (None) or at an instant.

        Raises NOT_FOUND, WRONG_STATE, TIME_OUT_OF_RANGE, NOTICE_MATERIAL, NOTICE_UNDECLARED,
        SECOND_PERSON_REQUIRED, or INVALID_ARGUMENT when retention would change at another time than 00:00
        UTC.
        """

        async def change(connection: AsyncConnection, shelf: Shelf) -> int:
            candidate = await self._candidate(connection, shelf, number)
            question = Question(call.actor, effective, wish)
            for refusal in reviewing.refusals(candidate, shelf.versions, question, shelf.at, self._rules):
                raise refusal
            start = announcing.effective_time(effective, shelf.versions, shelf.at)
            material = reviewing.material(candidate, wish)
            waiting = await audience.told(connection, number, shelf.at) if material else 0
            # Where nobody has to be told first, the gate is clear from the start.
            clear = None if waiting else shelf.at
            life = replace(
                candidate.version.life, announce_time=shelf.at, effective_time=start, clear_time=clear
            )
            await store.announce(connection, life, material=material)
            await store.append_change(
                *(connection, number, "announced", shelf.at, call.actor),
                wish.reason.strip() or None,
                declared=wish.declared,
            )
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

    async def review(self, number: int, question: Question) -> Review:
        """A version against the one in force, and what its announcement would meet. Raises NOT_FOUND."""
        async with self._database.transaction() as connection:
            shelf = Shelf(await store.all_versions(connection), self._clock.now())
            candidate = await self._candidate(connection, shelf, number)
            registered = await store.count_customers(connection)
            pace = await evidence_store.pace(connection)
        rules = replace(self._rules, mails_per_second=pace) if pace else self._rules
        return await asyncio.to_thread(
            reviewing.review, candidate, shelf.versions, question, shelf.at, rules, registered
        )

    async def compare(self, before: Version, after: Version) -> Comparison:
        """Any two versions, the later against the earlier."""
        texts = [await self.texts(version.number) for version in (before, after)]
        return await asyncio.to_thread(reviewing.between, before, texts[0], after, texts[1])

    async def changes(self, after: int, limit: int) -> list[StoredChange]:
        """What changed in the versions' stored state after a sequence number, in order, without gaps."""
        async with self._database.transaction() as connection:
            return await store.changes_after(connection, after, limit)

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

    async def _candidate(self, connection: AsyncConnection, shelf: Shelf, number: int) -> Candidate:
        version, previous = shelf.number(number), shelf.in_force()
        return Candidate(
            version,
            await store.texts_of(connection, number),
            await store.author(connection, number),
            previous,
            await store.texts_of(connection, previous.number) if previous else (),
        )

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
