"""The runtime on a real PostgreSQL: roles, migrations, row-level security, mapped errors, leases."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from idv.errors import IdvError, Reason
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.local.addresses import with_database, with_login
from services.local.postgres import Postgres
from services.runtime import migrations
from services.runtime.database import Database, UnsafeDatabaseError
from services.runtime.jobs import JobRunner, Leases, PeriodicJob
from services.runtime.logs import configure
from services.runtime.settings import DatabaseSettings, TelemetrySettings
from services.runtime.telemetry import Telemetry
from tests.set_clock import SetClock

MIGRATION = """
import sqlalchemy as sa
from alembic import op
from services.runtime.jobs import lease_table
from services.runtime.migrations import grant_runtime, tenant_policy

revision, down_revision = "0001", None


def upgrade():
    columns = sa.Column("tenant", sa.Text), sa.Column("thing", sa.Text, unique=True)
    op.create_table("things", *columns, schema="echo")
    grant_runtime("things", ["SELECT", "INSERT"])
    tenant_policy("things")
    lease_table(sa.MetaData(schema="echo")).create(op.get_bind())
    grant_runtime("job_leases", ["SELECT", "INSERT", "UPDATE"])
"""
INSERT = text("INSERT INTO things VALUES (:tenant, :thing)")
READ = text("SELECT thing FROM things")


@dataclass
class Addresses:
    admin: str
    owner: str
    runtime: str

    def settings(self, dsn: str | None = None, **changes: float) -> DatabaseSettings:
        return DatabaseSettings(dsn=SecretStr(dsn or self.runtime), **changes)


@pytest_asyncio.fixture
async def addresses(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Addresses]:
    """A fresh database with the schema `echo`, migrated."""
    name = f"echo_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(postgres.admin_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    (tmp_path / "0001_things.py").write_text(MIGRATION)
    dsn = with_database(postgres.admin_dsn, name)
    found = Addresses(
        dsn, with_login(dsn, "idv_echo_owner", "owner pass"), with_login(dsn, "idv_echo", "pass")
    )
    await migrations.provision(dsn, "echo", "owner pass", "pass")
    await asyncio.to_thread(migrations.upgrade, found.owner, "echo", tmp_path)
    yield found
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest_asyncio.fixture
async def database(addresses: Addresses) -> AsyncIterator[Database]:
    async with Database.open(addresses.settings()) as found:
        yield found


async def test_provisioning_and_migrating_again_changes_nothing(addresses: Addresses, tmp_path: Path) -> None:
    await migrations.provision(addresses.admin, "echo", "owner pass", "pass")
    await asyncio.to_thread(migrations.upgrade, addresses.owner, "echo", tmp_path)
    assert await asyncio.to_thread(migrations.current, addresses.owner, "echo") == "0001"
    assert migrations.head("echo", tmp_path) == "0001"


async def test_rows_of_other_tenants_are_neither_seen_nor_written(database: Database) -> None:
    async with database.transaction(["acme"]) as connection:
        await connection.execute(INSERT, {"tenant": "acme", "thing": "a"})
    async with database.transaction(["rival"]) as connection:
        assert (await connection.execute(READ)).all() == []
    async with database.transaction(["rival", "acme"]) as connection:
        assert (await connection.execute(READ)).scalars().all() == ["a"]
    with pytest.raises(IdvError):
        async with database.transaction(["rival"]) as connection:
            await connection.execute(INSERT, {"tenant": "acme", "thing": "b"})


async def test_without_tenants_no_row_passes(database: Database) -> None:
    async with database.transaction(["acme"]) as connection:
        await connection.execute(INSERT, {"tenant": "acme", "thing": "a"})
    async with database.transaction() as connection:  # most likely on the same pooled connection
        assert (await connection.execute(READ)).all() == []


async def test_the_owner_is_bound_by_the_policy_too(addresses: Addresses) -> None:
    owner = Database.open(addresses.settings(addresses.owner))
    async with owner.transaction() as connection:
        assert (await connection.execute(READ)).all() == []
    await owner.close()


@pytest.mark.parametrize("who", ["admin", "owner"])
async def test_a_role_with_too_much_power_is_refused_at_the_start(addresses: Addresses, who: str) -> None:
    with pytest.raises(UnsafeDatabaseError, match=r"owns tables|superuser"):
        async with Database.open(addresses.settings(getattr(addresses, who))):
            pass


async def test_commits_that_are_not_durable_are_refused_at_the_start(addresses: Addresses) -> None:
    admin = await asyncpg.connect(addresses.admin)
    name = addresses.admin.rpartition("/")[2]
    await admin.execute(f"ALTER ROLE idv_echo IN DATABASE {name} SET synchronous_commit = off")
    await admin.close()
    with pytest.raises(UnsafeDatabaseError, match="synchronous_commit is off"):
        async with Database.open(addresses.settings()):
            pass


async def test_the_runtime_role_cannot_change_the_schema(database: Database) -> None:
    with pytest.raises(IdvError) as caught:
        async with database.transaction() as connection:
            await connection.execute(text("CREATE TABLE echo.mine (id int)"))
    assert caught.value.reason == Reason.ERROR_REASON_INTERNAL


async def test_a_failed_block_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction(["acme"]) as connection:
            await connection.execute(INSERT, {"tenant": "acme", "thing": "a"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.transaction(["acme"]) as connection:
        assert (await connection.execute(READ)).all() == []


async def test_a_conflict_can_be_handled_inside_and_says_no_value_outside(database: Database) -> None:
    row = {"tenant": "acme", "thing": "canary-4711"}
    async with database.transaction(["acme"]) as connection:
        await connection.execute(INSERT, row)
        with pytest.raises(IntegrityError):
            async with connection.begin_nested():
                await connection.execute(INSERT, row)
    with pytest.raises(IdvError) as caught:
        async with database.transaction(["acme"]) as connection:
            await connection.execute(INSERT, row)
    assert caught.value.reason == Reason.ERROR_REASON_INTERNAL
    assert "canary" not in str(caught.value)


async def test_a_slow_statement_and_a_full_pool_are_told_apart(addresses: Addresses) -> None:
    database = Database.open(addresses.settings(command_timeout=0.3, pool_size=1))
    with pytest.raises(IdvError) as slow:
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))
    assert slow.value.reason == Reason.ERROR_REASON_DEADLINE_EXCEEDED
    async with database.transaction():
        with pytest.raises(IdvError) as full:
            async with database.transaction():
                pass
    assert full.value.reason == Reason.ERROR_REASON_OVERLOADED
    await database.close()


async def test_a_database_that_is_away_is_unavailable_with_a_retry(addresses: Addresses) -> None:
    database = Database.open(addresses.settings("postgresql://idv_echo:pass@127.0.0.1:1/echo"))
    with pytest.raises(IdvError) as caught:
        async with database.transaction():
            pass
    assert caught.value.reason == Reason.ERROR_REASON_UNAVAILABLE
    assert caught.value.retry_after
    await database.close()


async def test_a_connection_that_the_server_ends_is_unavailable(addresses: Addresses) -> None:
    database = Database.open(addresses.settings())

    async def lose_the_connection() -> None:
        async with database.transaction() as connection:
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            admin = await asyncpg.connect(addresses.admin)
            await admin.execute("SELECT pg_terminate_backend($1, 5000)", pid)
            await admin.close()
            await connection.execute(text("SELECT 1"))

    with pytest.raises(IdvError) as caught:
        await lose_the_connection()
    assert caught.value.reason == Reason.ERROR_REASON_UNAVAILABLE
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()


def _job(name: str = "sweep") -> PeriodicJob:
    async def run() -> None:
        raise AssertionError("only its lease is tested")

    return PeriodicJob(name, timedelta(hours=1), run)


async def test_one_replica_of_many_takes_a_due_job(database: Database) -> None:
    clock = SetClock()
    replicas = [Leases(database, clock, schema="echo") for _ in range(8)]
    taken = await asyncio.gather(*(replica.take(_job()) for replica in replicas))
    assert sum(taken) == 1


async def test_a_job_runs_once_a_period_among_all_replicas(database: Database) -> None:
    clock = SetClock()
    first, second = (Leases(database, clock, schema="echo") for _ in range(2))
    assert await first.take(_job())
    await first.give_back(_job(), clock.time + timedelta(hours=1))
    clock.time += timedelta(minutes=59)
    assert not await second.take(_job())
    clock.time += timedelta(minutes=1)
    assert await second.take(_job())


async def test_a_dead_holders_lease_is_taken_over(database: Database) -> None:
    clock = SetClock()
    dead, heir = (Leases(database, clock, schema="echo") for _ in range(2))
    assert await dead.take(_job())
    assert not await heir.take(_job())
    clock.time += timedelta(seconds=61)
    assert await heir.take(_job())
    assert not await dead.renew(_job())
    assert await heir.renew(_job())


async def test_a_process_takes_its_own_left_over_lease_again_at_once(database: Database) -> None:
    """As after a run whose end could not be stored, because the database was away."""
    clock = SetClock()
    mine, other = (Leases(database, clock, schema="echo") for _ in range(2))
    assert await mine.take(_job())
    assert not await other.take(_job())
    assert await mine.take(_job())
    await mine.give_back(_job(), clock.time + timedelta(hours=1))
    assert not await mine.take(_job()), "once its end is stored it runs once a period"


async def test_a_clock_set_back_does_not_block_a_job(database: Database) -> None:
    clock = SetClock()
    before, after = (Leases(database, clock, schema="echo") for _ in range(2))
    assert await before.take(_job())
    await before.give_back(_job(), clock.time + timedelta(hours=1))
    clock.time -= timedelta(days=30)
    assert await after.take(_job())


async def test_a_run_that_loses_its_lease_is_stopped(database: Database) -> None:
    clock = SetClock()
    stopped = asyncio.Event()

    async def run() -> None:
        clock.time += timedelta(days=1)  # as when the clock travels: the lease is over, and another takes it
        assert await heir.take(job)
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    job = PeriodicJob("sweep", timedelta(hours=1), run)
    holder, heir = (Leases(database, clock, schema="echo") for _ in range(2))
    log = configure(service="echo", deployment="test", level="error", stream=io.StringIO())
    telemetry = Telemetry(TelemetrySettings(), service="echo", deployment="test")
    runner = JobRunner(job, clock, log, telemetry, holder, renew_seconds=0.01)
    task = asyncio.create_task(runner.forever())
    await asyncio.wait_for(stopped.wait(), timeout=5)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert await heir.renew(job)
