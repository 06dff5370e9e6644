"""Migrations of storage on a schema that holds days already, as the release before left it."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest_asyncio
from pydantic import SecretStr

from services.local.addresses import with_database, with_login
from services.local.databases import role_password
from services.local.postgres import Postgres
from services.runtime import migrations
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from services.storage.store import partitions
from services.storage.store.erasures import Step
from tests.storage_parts import START

MIGRATIONS = Path(migrations.__file__).parents[1] / "storage" / "migrations"
ADD = """
    INSERT INTO storage.erasures (day, customer, erasure, request_mac, request_time, step, commitment,
                                  details, record_count, session_count, object_count)
    VALUES ($1, 'acme', $2, '', $3, $4, '', 'sealed', 0, 0, 0)"""


@pytest_asyncio.fixture
async def owner_dsn(postgres: Postgres, tmp_path: Path) -> AsyncIterator[str]:
    """The owner's login of a database at revision 0002 that has a day."""
    name = f"idv_storage_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(postgres.admin_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    admin_dsn = with_database(postgres.admin_dsn, name)
    password = role_password(admin_dsn, "storage")
    await migrations.provision(admin_dsn, "storage", password, password)
    for revision in ("0001", "0002"):
        (file,) = MIGRATIONS.glob(f"{revision}_*.py")
        shutil.copy(file, tmp_path)
    dsn = with_login(admin_dsn, "idv_storage_owner", password)
    await asyncio.to_thread(migrations.upgrade, dsn, "storage", tmp_path)
    owner = Database.open_owner(DatabaseSettings(dsn=SecretStr(dsn), owner_dsn=SecretStr(dsn)))
    async with owner.transaction() as connection:
        await partitions.create(connection, START.date())
    await owner.close()
    yield dsn
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def test_targets_of_erasures_that_were_done_before_are_dropped_and_those_to_do_are_kept(
    owner_dsn: str, postgres: Postgres
) -> None:
    admin = await asyncpg.connect(with_database(postgres.admin_dsn, owner_dsn.rpartition("/")[2]))
    try:
        for step in (Step.INTENDED, Step.DONE):
            await admin.execute(ADD, START.date(), uuid4(), START, step)
        await asyncio.to_thread(migrations.upgrade, owner_dsn, "storage")
        kept = await admin.fetch("SELECT step, details FROM storage.erasures ORDER BY step")
        assert kept == [(Step.INTENDED, b"sealed"), (Step.DONE, None)]
        assert await admin.fetchval(
            "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class"
            " WHERE oid = 'storage.erasures'::regclass"
        )
    finally:
        await admin.close()
