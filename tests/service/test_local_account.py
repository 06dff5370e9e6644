"""PostgreSQL refuses uid 0: as root it still runs, by either way, or says what it needs."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from services.local import account
from services.local.errors import LocalError
from services.local.postgres import Postgres
from services.local.process import Unprivileged

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other accounts can reach."""
    with tempfile.TemporaryDirectory(prefix="idv-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> set[Unprivileged]:
    """Ways that this machine is taken to forbid; what is not in here is really tried."""
    forbidden: set[Unprivileged] = set()
    works = account._works

    async def tried(way: Unprivileged, directory: Path, program: str) -> bool:
        return way not in forbidden and await works(way, directory, program)

    monkeypatch.setattr(account, "_works", tried)
    return forbidden


async def _count_after_restart(directory: Path) -> int:
    async with Postgres(directory) as server:
        connection = await asyncpg.connect(server.admin_dsn)
        await connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS one")
        await connection.close()
    async with Postgres(directory) as server:
        connection = await asyncpg.connect(server.admin_dsn)
        count = await connection.fetchval("SELECT count(*) FROM kept")
        await connection.close()
        return int(count)


async def test_in_a_user_namespace_no_file_changes_hands(tmp_path: Path) -> None:
    assert await _count_after_restart(tmp_path / "postgres") == 1
    assert {path.lstat().st_uid for path in (tmp_path / "postgres").rglob("*")} == {0}


async def test_without_namespaces_the_server_runs_as_nobody(
    reachable: Path, closed: set[Unprivileged]
) -> None:
    closed.add("namespace")
    assert await _count_after_restart(reachable / "postgres") == 1
    assert (reachable / "postgres" / "data").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert (reachable / "postgres").stat().st_mode & 0o077 == 0


async def test_data_of_nobody_is_used_again_though_namespaces_work_now(
    reachable: Path, closed: set[Unprivileged]
) -> None:
    closed.add("namespace")
    await _count_after_restart(reachable / "postgres")
    closed.clear()
    assert await _count_after_restart(reachable / "postgres") == 1


async def test_where_neither_way_works_the_error_names_the_remedy(
    tmp_path: Path, closed: set[Unprivileged]
) -> None:
    closed.update({"namespace", "nobody"})
    with pytest.raises(LocalError, match=r"Run as an ordinary user, or allow user namespaces"):
        await Postgres(tmp_path / "postgres").start()
