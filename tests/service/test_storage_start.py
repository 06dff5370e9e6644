"""A database that a service cannot run on is refused at the start, each time with what to do about it."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import pytest

from services.local.databases import ServiceDatabase
from services.runtime.database import Database, UnsafeDatabaseError
from services.runtime.settings import DatabaseSettings


async def refusal(dsn: str) -> str:
    with pytest.raises(UnsafeDatabaseError) as caught:
        async with Database.open(DatabaseSettings.model_validate({"dsn": dsn})):
            pass
    assert dsn not in str(caught.value)
    return str(caught.value)


async def test_a_schema_that_was_never_migrated_is_said_to_need_it(service_database: ServiceDatabase) -> None:
    admin = await asyncpg.connect(service_database.admin_dsn)
    await admin.execute("DROP TABLE storage.alembic_version")
    await admin.close()
    assert "run 'idv migrate'" in await refusal(service_database.dsn)


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (lambda dsn: dsn.replace("idv_storage:", "idv_storage:not-"), "correct user and password"),
        (lambda dsn: dsn + "_absent", "there is no such database"),
    ],
    ids=["wrong_password", "no_database"],
)
async def test_a_login_that_is_refused_is_told_from_an_internal_error(
    service_database: ServiceDatabase, spoil: Callable[[str], str], remedy: str
) -> None:
    assert remedy in await refusal(spoil(service_database.dsn))
