"""Whatever is asked for in whatever order, while processes are killed and the clock jumps: the promises hold.

Nothing is readable past its second or once it was deleted; restricted data serves rights alone; of whoever
opted out nothing is collected; no Customer sees another's; a repeat has the same answer; every receipt
verifies, and every earlier one still does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from services.local.stack import LocalStack
from tests.integration.callers import Callers
from tests.integration.history.kills import VICTIMS, Kills
from tests.integration.history.machine import Machine
from tests.integration.history.suite import Suite

STEPS = 5_000
HISTORIES, LENGTH = 300, 120
"""At most: they end once there were so many steps; a rule that can do nothing yet is none."""


@pytest_asyncio.fixture(scope="module")
async def suite(server_directory: Path) -> AsyncIterator[Suite]:
    """A stack of its own: its clock moves and its processes are killed."""
    async with LocalStack(server_directory / "history") as stack, Callers(stack) as callers:
        stack.travel(by=timedelta(days=1))  # a clock that is set back a little still finds a notice in force
        yield Suite(stack, callers)


async def test_every_promise_holds_after_each_of_5000_steps(suite: Suite, told: list[str]) -> None:
    Machine.suite, Machine.loop, Machine.kills = suite, asyncio.get_running_loop(), Kills(suite.stack)
    Machine.enough = STEPS
    Machine.steps.clear()
    many = settings(
        max_examples=HISTORIES,
        stateful_step_count=LENGTH,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],  # a failing history is short enough to read; each shorter one takes seconds
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),  # its steps take time, and rules that do nothing are none
    )
    try:
        await asyncio.to_thread(run_state_machine_as_test, Machine, settings=many)
    finally:
        told += lines(Machine.kills)
    assert Machine.steps.total() >= STEPS
    kills = Machine.kills
    assert all(kills.between[victim] and kills.during[victim] for victim in VICTIMS)
    await every_earlier_receipt_verifies(suite, told)


def lines(kills: Kills) -> Iterator[str]:
    """What was done, how often, and what most of the time went to."""
    steps = ", ".join(f"{count} {kind}" for kind, count in Machine.steps.most_common())
    yield f"any history: {Machine.steps.total()} steps in {Machine.histories} histories; {steps}"
    slow = sorted(Machine.seconds.items(), key=lambda each: -each[1])[:12]
    yield "any history: most time in " + ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in slow)
    yield f"any history: kills between two steps {dict(kills.between)}, during one {dict(kills.during)}"


async def every_earlier_receipt_verifies(suite: Suite, told: list[str]) -> None:
    head = await suite.head()
    for receipt in suite.proofs.receipts:
        await suite.prove_again(receipt, head)
    told.append(
        f"any history: {len(suite.proofs.receipts)} receipts verify against a log of {head.tree_size} leaves"
    )
    assert suite.proofs.receipts
