"""The demonstration tells the truth when something is not as promised, and goes on to its end."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from services.cli.demo.cast import Person, device_items
from services.cli.demo.command import CHAPTERS
from services.cli.demo.narration import PROMISES, Narration
from services.cli.demo.stage import Chapter, Shown, Stage, Step, play, promised
from services.runtime.clock import SystemClock


async def kept(_: Stage) -> str:
    return "seen"


async def not_kept(_: Stage) -> str:
    promised(False, "it is still there")
    return "never said"


async def breaks(_: Stage) -> str:
    raise ZeroDivisionError("nobody foresaw this")


def test_every_step_is_about_a_promise_that_the_table_names() -> None:
    steps = [step for chapter in CHAPTERS for step in chapter.steps]
    assert {step.promise for step in steps} == set(PROMISES)
    assert len({step.title for step in steps}) == len(steps)


async def test_step_that_fails_is_told_and_the_next_is_played() -> None:
    out = io.StringIO()
    steps = (Step("P1", "first", not_kept), Step("P3", "second", breaks), Step("P10", "third", kept))
    stage = cast("Stage", SimpleNamespace(narration=Narration(Console(file=out, width=100)), shown=[]))
    await play(stage, (Chapter("A chapter", "Its story.", steps),))
    assert stage.shown == [
        Shown("P1", "first", False, "it is still there"),
        Shown("P3", "second", False, "ZeroDivisionError: nobody foresaw this"),
        Shown("P10", "third", True, "seen"),
    ]
    assert "✗" in out.getvalue()
    assert "it is still there" in out.getvalue()


@pytest.mark.parametrize(
    ("ok", "verdict"), [(True, "All 1 steps were as promised"), (False, "1 of 1 steps were not as promised")]
)
def test_ending_counts_what_was_not_as_promised(ok: bool, verdict: str) -> None:
    out = io.StringIO()
    Narration(Console(file=out, width=100)).ending([Shown("P3", "gone", ok, "HEAD 404")], 12.0)
    told = out.getvalue()
    assert verdict in told
    assert "30 days, never longer" in told
    assert "HEAD 404" in told


def test_every_text_of_a_person_holds_what_the_search_looks_for() -> None:
    person = Person("A")
    items = device_items(person, SystemClock().now(), idfv=True)
    for message in (items.device_hardware, items.device_network, items.host_application):
        assert person.canary.encode() in message.SerializeToString()
    assert person.canary.encode() in items.log_data.SerializeToString()
    assert person.canary in person.subject
    assert person.canary not in repr(person)
