"""The end of our own records: what is kept of days whose data was destroyed years ago."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.runtime.clock_guard import ClockGuard
from services.runtime.database import Database
from services.runtime.telemetry import Telemetry
from services.storage.store import ageing as store

_DAYS: Final = 30
"""Days that one transaction forgets at most: some 6 000 rows."""


class Ageing:
    """Forgets days: their destructions, their root keys' rows and their own, `term` after their removal.

    No data is in them and no key; the log of the retention service has each destruction for ever.
    """

    def __init__(self, database: Database, guard: ClockGuard, telemetry: Telemetry, term: timedelta) -> None:
        self._database, self._guard, self._term = database, guard, term
        self._removed = telemetry.meter.create_counter(
            "idv.ageing.removed", description="Rows of our own records removed at the end of their term."
        )

    async def run(self) -> None:
        """Forgets what is past its term, as far as the guard lets it."""
        until = await self._guard.until()
        while until is not None:
            async with self._database.transaction() as connection:
                ended = await store.past_term(connection, until - self._term, _DAYS)
                removed = await store.forget(connection, ended)
            self._removed.add(removed, {"kind": "days"})
            if len(ended) < _DAYS:
                return
