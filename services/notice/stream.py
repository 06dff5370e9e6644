"""What each replica knows of the versions, a fraction of a second old, and who waits for it to change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from idv.errors import IdvError

from services.notice import lifecycle
from services.notice.text import Text
from services.notice.versions import Shelf, Versions
from services.runtime.logs import Log

POLL_SECONDS = 0.25
"""How often the database is asked whether anything changed: followers hear of it within a second, whichever
replica made the change. A notification can be lost and does not pass every pooler; a question is repeated."""


class TermsFeed:
    """The newest versions, kept by one task of each replica for all its followers and pages.

    With them the texts of those in force or to come: what the page shows must not wait for a reader to ask
    for it while the database is there.
    """

    def __init__(self, versions: Versions, log: Log) -> None:
        self._versions = versions
        self._log = log
        self._revision = -1
        self._shelf: Shelf | None = None
        self._texts: dict[int, tuple[Text, ...]] = {}
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Follows the database until cancelled. While it is away the last known versions stand."""
        away = False
        while True:
            try:
                await self.refresh()
            except IdvError as error:
                if not away:  # once for each absence, not four times a second
                    self._log.warning("versions not read", reason=error.reason_name, exc_info=error)
                away = True
            else:
                if away:
                    self._log.info("versions read again")
                away = False
            await asyncio.sleep(POLL_SECONDS)

    async def refresh(self) -> None:
        """Reads the versions if anything changed, and wakes the followers; IdvError without database."""
        revision = await self._versions.revision()
        if revision == self._revision:
            return
        shelf = await self._versions.shelf()
        texts = {number: await self.texts(number) for number in _shown(shelf)}
        async with self._changed:
            self._revision, self._shelf, self._texts = revision, shelf, texts
            self._changed.notify_all()

    async def current(self) -> Shelf:
        """The newest known versions; waits for the first reading."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._shelf is not None)
            return self._known()

    async def texts(self, number: int) -> tuple[Text, ...]:
        """The texts of a version, which never change: from memory while it is in force or to come."""
        known = self._texts.get(number)
        return await self._versions.texts(number) if known is None else known

    async def follow(self) -> AsyncGenerator[Shelf]:
        """The newest versions now, and again after each change. A slow follower skips what is overtaken."""
        seen = -1
        while True:
            async with self._changed:
                while self._revision == seen:
                    await self._changed.wait()
                seen, shelf = self._revision, self._known()
            yield shelf

    def _known(self) -> Shelf:
        if self._shelf is None:
            raise RuntimeError("the versions were never read")
        return self._shelf


def _shown(shelf: Shelf) -> list[int]:
    """Numbers of the versions that the page shows from now on."""
    terms = lifecycle.terms_of_force(shelf.lives)
    return [term.number for term in terms if term.end is None or term.end > shelf.at]
