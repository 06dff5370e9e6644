"""One running stack for the tests that leave it as it was; tests that move its clock start their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from services.local.layout import SERVICES
from services.local.stack import LocalStack
from tests.integration.callers import Callers
from tests.integration.verification import Opened, Verification

_LINES_SHOWN = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows, with a failure, what the services of the test's stack warned of last: their logs go with it."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, LocalStack):
        for service in SERVICES:
            lines = stack.layout.log(service).read_text().splitlines()
            warnings = [line for line in lines if '"level": "info"' not in line]
            report.sections.append((f"log of {service}", "\n".join(warnings[-_LINES_SHOWN:])))
    return report


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


@pytest_asyncio.fixture
async def session(verification: Verification) -> Opened:
    """A session that may hold every category, and no optional item."""
    return await verification.open("acme", "bad-input")
