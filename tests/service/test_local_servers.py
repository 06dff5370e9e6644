"""The real servers behind the stack and the tests: what survives a crash, and what a stop leaves."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from services.local.leftovers import start_time
from services.local.objects import BUCKET_PREFIX, ObjectStore
from services.local.ports import GRPC_OFFSET, is_free
from services.local.postgres import Postgres
from services.local.weed import weed_program
from tests.s3 import client_error, s3_client

_LOST_CONNECTION = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # raised when the connection closes between two messages of one statement
    OSError,
)


async def test_acknowledged_rows_survive_kill_of_postgres_and_its_restart(tmp_path: Path) -> None:
    async with Postgres(tmp_path / "postgres") as postgres:
        acknowledged = 0
        connection = await asyncpg.connect(postgres.admin_dsn)
        await connection.execute("CREATE TABLE counted (number integer PRIMARY KEY)")

        async def write() -> None:
            nonlocal acknowledged
            while True:
                await connection.execute("INSERT INTO counted VALUES ($1)", acknowledged)
                acknowledged += 1
                if acknowledged % 50 == 0:
                    busy.set()

        for _ in range(3):
            busy = asyncio.Event()
            writer = asyncio.create_task(write())
            await asyncio.wait_for(busy.wait(), 30)
            await postgres.kill()
            with pytest.raises(_LOST_CONNECTION):
                await writer
            await postgres.start()
            connection = await asyncpg.connect(postgres.admin_dsn)
            kept = await connection.fetchval("SELECT count(*) FROM counted")
            # The write in flight may have been committed without an answer; nothing answered may be missing.
            assert kept in (acknowledged, acknowledged + 1)
            acknowledged = kept
        await connection.close()


async def test_postgres_admits_nobody_without_the_password_and_flushes_every_commit(
    postgres: Postgres,
) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.dsn(password="guess"))
    connection = await asyncpg.connect(postgres.admin_dsn)
    try:
        shown = {name: await connection.fetchval(f"SHOW {name}") for name in ("fsync", "data_checksums")}
        assert shown == {"fsync": "on", "data_checksums": "on"}
    finally:
        await connection.close()


async def test_postgres_starts_though_its_pid_file_names_a_living_stranger(tmp_path: Path) -> None:
    async with Postgres(tmp_path / "postgres"):
        pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
        left = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *left[1:]]) + "\n")
    async with Postgres(tmp_path / "postgres") as again:
        assert again.pid is not None


async def test_a_server_left_by_a_killed_run_is_ended_before_the_next(tmp_path: Path) -> None:
    first, second = Postgres(tmp_path / "postgres"), Postgres(tmp_path / "postgres")
    await first.start()
    left = first.pid
    assert left is not None
    await second.start()
    try:
        assert start_time(left) is None
    finally:
        await second.stop()


async def test_stopped_servers_leave_no_port_no_socket_and_no_shared_memory(tmp_path: Path) -> None:
    before = _shared_memory()
    async with Postgres(tmp_path / "postgres") as postgres, ObjectStore(tmp_path / "objects") as objects:
        ports = [postgres.port, *vars(objects.ports).values()]
    assert all(is_free(port) and is_free(port + GRPC_OFFSET) for port in ports)
    assert _left_sockets(ports) == []
    assert _shared_memory() <= before


async def test_socket_files_left_by_a_killed_store_are_gone_after_the_next_run(tmp_path: Path) -> None:
    killed = ObjectStore(tmp_path / "objects")
    await killed.start()
    await killed.kill()
    ports = list(vars(killed.ports).values())
    assert _left_sockets(ports) != []
    async with ObjectStore(tmp_path / "objects") as again:
        assert again.ports == killed.ports
    assert _left_sockets(ports) == []


async def test_objects_survive_kill_of_the_store_and_its_restart(tmp_path: Path) -> None:
    async with ObjectStore(tmp_path / "objects") as objects, s3_client(objects) as s3:
        bucket = BUCKET_PREFIX + "20260101"
        await s3.create_bucket(Bucket=bucket)
        await s3.put_object(Bucket=bucket, Key="one", Body=b"before")
        await objects.kill()
        await objects.start()
        answer = await s3.get_object(Bucket=bucket, Key="one")
        assert await answer["Body"].read() == b"before"
        await s3.put_object(Bucket=bucket, Key="two", Body=b"after")


async def test_the_storage_identity_reaches_only_the_buckets_of_records(objects: ObjectStore) -> None:
    async with s3_client(objects) as s3:
        with client_error("AccessDenied"):
            await s3.create_bucket(Bucket="elsewhere")
    async with s3_client(objects, "operator") as s3:
        await s3.create_bucket(Bucket="elsewhere")
    async with s3_client(objects) as s3:
        with client_error("AccessDenied"):
            await s3.put_object(Bucket="elsewhere", Key="one", Body=b"1")


async def test_a_write_to_a_bucket_is_flushed_to_disk(objects: ObjectStore) -> None:
    # The store's own view of the rule: it must have read it, not only kept the file.
    shell = [weed_program(), "shell", f"-master=127.0.0.1:{objects.ports.master}"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*shell, stdin=pipe, stdout=pipe, stderr=pipe)
    output, _ = await process.communicate(b"fs.configure\nexit\n")
    assert '"fsync":true' in output.decode().replace(" ", "")


async def test_files_of_the_servers_are_closed_to_other_users(tmp_path: Path) -> None:
    async with Postgres(tmp_path / "postgres"):
        assert (tmp_path / "postgres").stat().st_mode & 0o077 == 0
        assert (tmp_path / "postgres" / "password").stat().st_mode & 0o077 == 0
        assert (tmp_path / "postgres" / "data").stat().st_mode & 0o077 == 0


def _left_sockets(ports: list[int]) -> list[Path]:
    names = [f"seaweedfs-*-{port + GRPC_OFFSET}.sock" for port in ports]
    return [path for name in names for path in Path("/tmp").glob(name)]  # noqa: S108


def _shared_memory() -> set[Path]:
    return set(Path("/dev/shm").glob("PostgreSQL.*"))  # noqa: S108
