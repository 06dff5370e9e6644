"""Whatever is asked for in whatever order, while processes are killed and the clock jumps: the promises hold.

Nothing is readable past its second or once it was deleted; restricted data serves rights alone; of whoever
opted out nothing is collected; no Customer sees another's; a repeat has the same answer; every receipt
verifies, and every earlier one still does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from services.local.stack import LocalStack
from tests.integration.callers import Callers
from tests.integration.history.machine import Machine
from tests.integration.history.suite import Suite

STEPS = 5_000
HISTORIES, LENGTH = 74, 80


@pytest_asyncio.fixture(scope="module")
async def suite(server_directory: Path) -> AsyncIterator[Suite]:
    """A stack of its own: its clock moves and its processes are killed."""
    async with LocalStack(server_directory / "history") as stack, Callers(stack) as callers:
        stack.travel(by=timedelta(days=1))  # a clock that is set back a little still finds a notice in force
        yield Suite(stack, callers)


async def test_every_promise_holds_after_each_of_5000_steps(suite: Suite, told: list[str]) -> None:
    Machine.suite, Machine.loop = suite, asyncio.get_running_loop()
    Machine.steps.clear()
    many = settings(max_examples=HISTORIES, stateful_step_count=LENGTH, deadline=None, derandomize=True)
    await asyncio.to_thread(run_state_machine_as_test, Machine, settings=many)
    steps = Machine.steps
    told.append(
        f"any history: {steps.total()} steps; " + ", ".join(f"{n} {kind}" for kind, n in steps.most_common())
    )
    assert steps.total() >= STEPS
    await every_earlier_receipt_verifies(suite, told)


async def every_earlier_receipt_verifies(suite: Suite, told: list[str]) -> None:
    head = await suite.head()
    for receipt in suite.proofs.receipts:
        await suite.prove_again(receipt, head)
    told.append(
        f"any history: {len(suite.proofs.receipts)} receipts verify against a log of {head.tree_size} leaves"
    )
    assert suite.proofs.receipts
