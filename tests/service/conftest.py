"""Services on the real servers of a run, in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.local.databases import ServiceDatabase
from services.local.objects import ObjectStore
from tests.retention_process import Service, started
from tests.storage_parts import Replica, Servers


@pytest.fixture
def servers(service_database: ServiceDatabase, objects: ObjectStore, tmp_path: Path) -> Servers:
    """What replicas of one storage service share."""
    return Servers(service_database, objects, tmp_path)


@pytest_asyncio.fixture
async def storage(servers: Servers) -> AsyncIterator[Replica]:
    """One replica of the storage service."""
    async with servers.replica() as replica:
        yield replica


@pytest_asyncio.fixture
async def retention(service_database: ServiceDatabase, tmp_path: Path) -> AsyncIterator[Service]:
    """The retention service as a process of its own, with its callers."""
    async with started(service_database, tmp_path) as running:
        yield running
