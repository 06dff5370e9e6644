"""The retention service starts with the log's own key alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from services.local.databases import ServiceDatabase
from services.local.ports import free_port
from services.retention import signing
from services.retention.main import main
from services.retention.settings import RetentionSettings
from services.runtime.start_error import StartError
from tests.retention_process import (
    running,
    settings,
)
from tests.runtime_process import Signer
from tests.waiting import until


async def test_a_wrong_signing_key_stops_the_start(service_database: ServiceDatabase, tmp_path: Path) -> None:
    Signer(tmp_path / "jwks.json")
    made = settings(tmp_path, service_database, "127.0.0.1:1", free_port())
    async with asyncio.timeout(30), running(made):
        assert await opened(service_database)
    (tmp_path / "log.pem").unlink()
    signing.generate(tmp_path / "log.pem")
    with pytest.raises(StartError, match="transparency log"):
        await main(made)


async def opened(database: ServiceDatabase) -> bool:
    """True once the log has a head."""
    connection = await asyncpg.connect(database.admin_dsn)

    async def has_head() -> bool | None:
        return bool(await connection.fetchval("SELECT count(*) FROM retention.log_checkpoints")) or None

    try:
        found: bool = await until("the log is open", has_head)
    finally:
        await connection.close()
    return found


def test_the_openings_term_is_that_of_the_data() -> None:
    assert timedelta(days=RetentionSettings.model_fields["opening_days"].default) == timedelta(days=30)
