"""A replica of notice follows the versions through an absence of its database, and says so once."""

from __future__ import annotations

import asyncio

import pytest
from idv.errors import IdvError, Reason
from structlog import get_logger
from structlog.testing import capture_logs

from services.notice import stream
from services.notice.versions import Shelf
from tests.set_clock import START
from tests.waiting import until


class Versions:
    """Versions that never change, in a database that the test takes away."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    async def revision(self) -> int:
        self.asked += 1
        if self.away:
            raise IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away")
        return 1

    async def shelf(self) -> Shelf:
        return Shelf((), START)


async def test_an_absence_of_the_database_is_said_once_when_it_begins_and_once_when_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "POLL_SECONDS", 0)
    versions = Versions()

    async def asked_again() -> None:
        before = versions.asked
        await until("the database is asked again", lambda: versions.asked > before + 3)

    with capture_logs() as lines:
        following = asyncio.create_task(stream.TermsFeed(versions, get_logger()).run())  # type: ignore[arg-type]
        for away in (False, True, False, True, False):
            versions.away = away
            await asked_again()
        following.cancel()
    told = [line["event"] for line in lines]
    assert told == ["versions not read", "versions read again"] * 2
