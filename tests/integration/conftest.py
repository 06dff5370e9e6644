"""One running stack for the tests that leave it as it was; tests that move its clock start their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from services.local.stack import LocalStack
from tests.integration.callers import Callers
from tests.integration.verification import Verification


@pytest_asyncio.fixture(scope="session")
async def stack(server_directory: Path) -> AsyncIterator[LocalStack]:
    """The whole suite, running, with two Customers: `acme` and `globex`."""
    async with LocalStack(server_directory / "stack") as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def callers(stack: LocalStack) -> AsyncIterator[Callers]:
    """Channels to the shared stack."""
    async with Callers(stack) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session")
async def verification(callers: Callers) -> Verification:
    """The main path through the shared stack."""
    return Verification(callers)
