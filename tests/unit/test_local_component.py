"""Supervision: what dies unasked is started again, and what is held down stays down."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from services.local.component import State, Supervised
from services.local.errors import LocalError
from services.local.process import Process
from services.local.screen import Screen, duration
from tests.waiting import until


class _Sleeper:
    """A component made of a real process that is ready once it exists."""

    def __init__(self, folder: Path) -> None:
        self.process = Process(["sleep", "600"], log=folder / "log")
        self.refuse = 0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process.running else None

    async def start(self) -> None:
        if self.refuse:
            self.refuse -= 1
            raise LocalError("It does not start.")
        await self.process.start()

    async def stop(self) -> None:
        await self.process.stop()

    async def kill(self) -> None:
        await self.process.kill()

    async def wait(self) -> int:
        return await self.process.wait()


@pytest.fixture
def sleeper(tmp_path: Path) -> _Sleeper:
    return _Sleeper(tmp_path)


async def test_a_killed_component_comes_back_as_another_process(sleeper: _Sleeper) -> None:
    supervised = Supervised("sleeper", sleeper, "-")
    await supervised.start()
    before = sleeper.pid
    await supervised.kill()
    assert supervised.state is State.WAITING
    await asyncio.wait_for(supervised.ready(), 10)
    assert sleeper.pid not in (None, before)
    assert supervised.restarts == 1
    await supervised.stop()


async def test_a_component_that_ends_by_itself_comes_back_even_if_a_start_fails(sleeper: _Sleeper) -> None:
    supervised = Supervised("sleeper", sleeper, "-")
    await supervised.start()
    sleeper.refuse = 1
    await sleeper.kill()
    await until("it is back", lambda: supervised.restarts == 2 and supervised.state is State.READY)
    await supervised.stop()


async def test_a_component_held_down_stays_down_until_it_is_restarted(sleeper: _Sleeper) -> None:
    supervised = Supervised("sleeper", sleeper, "-")
    await supervised.start()
    await supervised.kill(restart=False)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(supervised.ready(), 0.3)
    assert supervised.component.pid is None
    await supervised.restart()
    assert supervised.state is State.READY
    await supervised.stop()


async def test_a_stopped_component_is_not_started_again(sleeper: _Sleeper) -> None:
    supervised = Supervised("sleeper", sleeper, "-")
    await supervised.start()
    await supervised.stop()
    assert (supervised.state, sleeper.pid, supervised.uptime) == (State.STOPPED, None, 0.0)


async def test_without_a_terminal_each_change_is_one_line(sleeper: _Sleeper) -> None:
    output = io.StringIO()
    with Screen(output) as screen:
        supervised = Supervised("sleeper", sleeper, "-", screen.changed)
        screen.watch({"sleeper": supervised})
        await supervised.start()
        pid = sleeper.pid
        await supervised.stop()
    assert output.getvalue().splitlines() == [
        "sleeper starting",
        f"sleeper ready, pid {pid}",
        "sleeper stopped",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "7s"), (247, "4m 07s"), (11_040, "3h 04m")])
def test_spans_are_shown_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
