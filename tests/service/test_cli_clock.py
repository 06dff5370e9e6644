"""`idv clock` on a real server: it shows when destruction waits, and lets it go on when told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.local.databases import ServiceDatabase
from tests.cli_run import idv

AWAY = timedelta(days=3)


@pytest.fixture
def database(service_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch) -> ServiceDatabase:
    """A storage database whose owner logs in as the environment says."""
    monkeypatch.setenv("IDV_STORAGE_DATABASE__OWNER_DSN", service_database.owner_dsn)
    return service_database


def put_mark(database: ServiceDatabase, mark: datetime) -> None:
    async def put() -> None:
        admin = await asyncpg.connect(database.admin_dsn)
        try:
            await admin.execute("INSERT INTO storage.clock_marks (id, mark) VALUES (1, $1)", mark)
        finally:
            await admin.close()

    asyncio.run(put())


@pytest.mark.parametrize("service_database", ["storage"], indirect=True)
def test_a_mark_left_behind_is_told_and_moved_when_confirmed(database: ServiceDatabase) -> None:
    put_mark(database, datetime.now(UTC) - AWAY)
    waiting = idv("clock", "--json")
    assert waiting.code == 3
    assert waiting.json["waits"]
    assert "--confirm" in waiting.err
    assert idv("clock").code == 3  # looking moved nothing
    confirmed = idv("clock", "--confirm", "--json")
    assert confirmed.code == 0, confirmed.err
    assert datetime.fromisoformat(confirmed.json["destroy_until"]) > datetime.now(UTC) - AWAY / 2
    assert idv("clock", "--json").code == 0


@pytest.mark.parametrize("service_database", ["storage"], indirect=True)
def test_before_the_first_start_there_is_nothing_to_confirm(database: ServiceDatabase) -> None:
    ended = idv("clock", "--confirm")
    assert ended.code == 3
    assert "never looked" in ended.err


@pytest.mark.parametrize("service_database", ["storage"], indirect=True)
def test_a_refused_login_is_one_sentence(database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = database.owner_dsn.replace("idv_storage_owner:", "idv_storage_owner:wr0ng")
    monkeypatch.setenv("IDV_STORAGE_DATABASE__OWNER_DSN", wrong)
    ended = idv("clock")
    assert ended.code == 3
    assert "database of storage" in ended.err
    assert "Traceback" not in ended.err
