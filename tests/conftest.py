"""Real servers for all tests: one PostgreSQL and one S3 per run, a fresh database per test that asks."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.local.databases import DatabaseFactory, ServiceDatabase
from services.local.objects import ObjectStore
from services.local.postgres import Postgres


def pytest_configure(config: pytest.Config) -> None:
    """Gives each run a folder of its own for `tmp_path`, removed at its end: runs may overlap."""
    if config.option.basetemp is None:
        folder = tempfile.TemporaryDirectory(prefix="idv-tests-", ignore_cleanup_errors=True)
        config.option.basetemp = str(Path(folder.name) / "tmp")
        config.add_cleanup(folder.cleanup)


TOLD = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> list[str]:
    """Lines that the run writes out at its end, passed or not: what a test measured or counted."""
    return request.config.stash.setdefault(TOLD, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Writes out what was told."""
    if lines := config.stash.get(TOLD, []):
        terminalreporter.section("measured and counted")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where the servers of this run keep their data; removed at its end."""
    with tempfile.TemporaryDirectory(prefix="idv-test-") as directory:
        yield Path(directory)


@pytest_asyncio.fixture(scope="session")
async def postgres(server_directory: Path) -> AsyncIterator[Postgres]:
    """A running PostgreSQL, shared by the run: tests that kill it start their own."""
    async with Postgres(server_directory / "postgres") as server:
        yield server


@pytest_asyncio.fixture(scope="session")
async def objects(server_directory: Path) -> AsyncIterator[ObjectStore]:
    """A running S3, shared by the run: tests that kill it start their own."""
    async with ObjectStore(server_directory / "objects") as server:
        yield server


@pytest_asyncio.fixture
async def database_factory(postgres: Postgres) -> AsyncIterator[DatabaseFactory]:
    """`await database_factory("storage")`: a fresh database with that service's schema, dropped later."""
    factory = DatabaseFactory(postgres.admin_dsn)
    yield factory
    await factory.drop_all()


@pytest_asyncio.fixture
async def service_database(
    request: pytest.FixtureRequest, database_factory: DatabaseFactory
) -> ServiceDatabase:
    """A fresh database for the service named by the test file (`test_<service>_*.py`) or a parameter."""
    service = getattr(request, "param", None) or request.path.stem.split("_")[1]
    return await database_factory(service)
